// When tokens are got and replaced, on a clock that the test turns.

#include "providers/gcp/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::providers::gcp {
namespace {

using absl::StatusCode;
using std::chrono::seconds;

// Gives out "token-1", "token-2", …
struct Script {
  int given = 0;
  Duration life = seconds(3600);
  absl::Status failure;
  bool has_new_credential = false;
};

class ScriptedSource final : public TokenSource {
 public:
  explicit ScriptedSource(Script* script) : script_(script) {}
  std::string Description() const override { return "the script"; }
  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime) override {
    script_->has_new_credential = false;
    ++script_->given;
    if (!script_->failure.ok()) co_return script_->failure;
    co_return AccessToken{SecretBytes::CopyOf(Format("token-{}", script_->given)), script_->life};
  }
  bool HasNewCredential() const override { return script_->has_new_credential; }

 private:
  Script* const script_;
};

class GcpSessionTest : public ::testing::Test {
 protected:
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    auto result = asio::co_spawn(context_, std::move(coroutine), asio::use_future);
    context_.restart();
    context_.run();
    return result.get();
  }
  std::string Token() { return Text(Await(session_->Token(MonotonicTime::max()))); }
  static std::string Text(const absl::StatusOr<TokenBytes>& token) {
    if (!token.ok()) return std::string(absl::StatusCodeToString(token.status().code()));
    return std::string((*token)->ExposeAsText());
  }

  fakes::ManualClock clock_;
  asio::io_context context_;
  Script script_;
  std::shared_ptr<Client> client_ = std::make_shared<Client>(TlsConfig(), context_, clock_);
  std::shared_ptr<Session> session_ =
      std::make_shared<Session>(client_, std::make_unique<ScriptedSource>(&script_));
};

TEST_F(GcpSessionTest, ATokenIsUsedUntilItEndsSoonAndReplacedInTheBackground) {
  EXPECT_EQ(Token(), "token-1");
  clock_.Advance(seconds(3300));
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(script_.given, 1);
  clock_.Advance(seconds(70));
  // Nobody waits for the replacement: the old one still lives.
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(script_.given, 2);
  EXPECT_EQ(Token(), "token-2");
  clock_.Advance(seconds(4000));
  EXPECT_EQ(Token(), "token-3");
}

TEST_F(GcpSessionTest, AReplacementThatFailsIsTriedAgainWhileTheOldTokenLives) {
  EXPECT_EQ(Token(), "token-1");
  clock_.Advance(seconds(3400));
  script_.failure = absl::UnavailableError("down");
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(script_.given, 2);
  clock_.Advance(seconds(31));
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(script_.given, 3);
  clock_.Advance(seconds(200));
  EXPECT_EQ(Token(), "UNAVAILABLE");
  script_.failure = absl::OkStatus();
  EXPECT_EQ(Token(), "token-5");
}

TEST_F(GcpSessionTest, ShortLivesAreUsedForTheirMostPart) {
  script_.life = seconds(50);  // 40 of them count
  EXPECT_EQ(Token(), "token-1");
  clock_.Advance(seconds(29));
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(script_.given, 1);
  clock_.Advance(seconds(2));
  EXPECT_EQ(Token(), "token-1");
  EXPECT_EQ(Token(), "token-2");
  script_.life = seconds(0);
  clock_.Advance(seconds(100));
  EXPECT_EQ(Token(), "token-3");
  clock_.Advance(seconds(2));
  EXPECT_EQ(Token(), "token-4");
}

TEST_F(GcpSessionTest, ARefusedTokenIsReplacedOnce) {
  const auto first = Await(session_->Token(MonotonicTime::max()));
  EXPECT_EQ(Text(Await(session_->Replace(*first, MonotonicTime::max()))), "token-2");
  // A late refusal of the first costs the second nothing.
  EXPECT_EQ(Text(Await(session_->Replace(*first, MonotonicTime::max()))), "token-2");
  EXPECT_EQ(script_.given, 2);
}

TEST_F(GcpSessionTest, ANewCredentialIsUsedAtOnceIfItWorks) {
  EXPECT_EQ(Token(), "token-1");
  script_.has_new_credential = true;
  EXPECT_EQ(Token(), "token-2");
  script_.has_new_credential = true;
  script_.failure = absl::FailedPreconditionError("broken file");
  EXPECT_EQ(Token(), "token-2");
}

TEST_F(GcpSessionTest, EndsWithClose) {
  EXPECT_EQ(Token(), "token-1");
  session_->Close();
  EXPECT_EQ(Token(), "CANCELLED");
}

}  // namespace
}  // namespace secretfs::providers::gcp
