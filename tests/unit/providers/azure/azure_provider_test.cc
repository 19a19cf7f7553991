// The provider against a server that answers as the test says, on a clock that the test turns:
// which requests are made, with what, and how often. tests/integration/azure asks a whole fake.

#include "providers/azure/azure_provider.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/fakes/http_test_server.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::providers {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "POST /tenant/oauth2/v2.0/token";
constexpr char kRead[] = "GET /secrets/app?api-version=7.4";
constexpr char kSecret[] = R"({"value":"x","id":"https://v.test/secrets/app/v1"})";
constexpr char kChallenge[] =
    R"(Bearer authorization="https://login.test/tenant", resource="https://vault.azure.net")";

class AzureProviderTest : public ::testing::Test {
 protected:
  void TearDown() override { provider_.reset(); }

  void Answer(const std::string& what, HttpTestServer::Response response) {
    const std::lock_guard lock(mutex_);
    answers_[what] = std::move(response);
  }
  void Answer(const std::string& what, int status, const std::string& body) {
    HttpTestServer::Response response;
    response.status = status;
    response.body = body;
    response.headers = {{"Content-Type", "application/json"}};
    Answer(what, std::move(response));
  }
  void AnswerToken(const std::string& token, int lives) {
    Answer(kToken, 200, Format(R"({{"access_token":"{}","expires_in":{}}})", token, lives));
  }
  void Challenge() {
    HttpTestServer::Response response;
    response.status = 401;
    response.headers = {{"WWW-Authenticate", kChallenge}};
    Answer(kRead, std::move(response));
  }

  AzureStoreConfig Config() {
    AzureStoreConfig config;
    config.vault_url = server_.Url("");
    config.authority_host = server_.Url("");
    config.tenant_id.text = "tenant";
    config.resource = "https://vault.azure.net";
    config.tls.ca_bundle = authority_.certificate();
    AzureClientSecretAuth auth;
    auth.client_id.text = "app id";
    auth.client_secret.inline_value =
        std::make_shared<const SecretBytes>(SecretBytes::CopyOf(std::string_view("pl&nted=+%")));
    config.auth = auth;
    return config;
  }
  Provider& Make(const AzureStoreConfig& config) {
    auto provider = MakeAzureProvider(config, context_, clock_, clock_);
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return *provider_;
  }
  absl::Status MakeError(const AzureStoreConfig& config) {
    return MakeAzureProvider(config, context_, clock_, clock_).status();
  }

  bool RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      context_.restart();
      context_.run_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  using Results = std::vector<absl::StatusOr<SecretPtr>>;
  std::future<Results> StartFetch(const std::string& key) {
    std::vector<SecretRef> refs = {{key, ""}};
    return asio::co_spawn(context_, provider_->Fetch(std::move(refs), RequestContext{}),
                          asio::use_future);
  }
  absl::StatusOr<SecretPtr> Wait(std::future<Results> future) {
    EXPECT_TRUE(RunUntil([&] { return future.wait_for(seconds(0)) == std::future_status::ready; }));
    return future.get()[0];
  }
  absl::StatusOr<SecretPtr> Fetch(const std::string& key = "app") { return Wait(StartFetch(key)); }
  std::vector<std::string> Requests() const {
    std::vector<std::string> result;
    for (const auto& request : server_.requests()) {
      result.push_back(request.method + " " + request.target);
    }
    return result;
  }
  size_t Count(const std::string& what) const {
    const auto requests = Requests();
    return static_cast<size_t>(std::count(requests.begin(), requests.end(), what));
  }
  std::string LastToken() const { return server_.requests().back().header("authorization"); }

  fakes::ManualClock clock_;
  asio::io_context context_;
  std::shared_ptr<Provider> provider_;
  std::mutex mutex_;
  std::map<std::string, HttpTestServer::Response> answers_;
  fakes::TestAuthority authority_;
  HttpTestServer server_{[this](const HttpTestServer::Request& request) {
                           const std::lock_guard lock(mutex_);
                           const auto found = answers_.find(request.method + " " + request.target);
                           if (found != answers_.end()) return found->second;
                           HttpTestServer::Response missing;
                           missing.status = 404;
                           return missing;
                         },
                         HttpTestServer::Tls{authority_.Issue("server"), ""}};
};

TEST_F(AzureProviderTest, TheLoginIsAFormAndTheReadABearerRequest) {
  AnswerToken("one", 3600);
  Answer(kRead, 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch().ok());
  ASSERT_THAT(Requests(), ElementsAre(kToken, kRead));
  const auto requests = server_.requests();
  EXPECT_EQ(requests[0].body,
            "client_id=app%20id&client_secret=pl%26nted%3D%2B%25&grant_type=client_credentials&"
            "scope=https%3A%2F%2Fvault.azure.net%2F.default");
  EXPECT_EQ(requests[0].header("content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(requests[0].header("authorization"), "");
  EXPECT_EQ(requests[1].header("authorization"), "Bearer one");
}

TEST_F(AzureProviderTest, ManyReadsShareOneLogin) {
  AnswerToken("one", 3600);
  Make(Config());
  std::vector<std::future<Results>> reads;
  for (int i = 0; i < 30; ++i) {
    Answer(Format("GET /secrets/s{}?api-version=7.4", i), 200,
           Format(R"({{"value":"{}","id":"https://v.test/secrets/s{}/v"}})", i, i));
    reads.push_back(StartFetch(Format("s{}", i)));
  }
  for (auto& read : reads) EXPECT_TRUE(Wait(std::move(read)).ok());
  EXPECT_EQ(Count(kToken), 1u);
  EXPECT_EQ(server_.request_count(), 31u);
}

TEST_F(AzureProviderTest, ATokenIsReplacedInTheBackgroundBeforeItsEnd) {
  AnswerToken("one", 3600);
  Answer(kRead, 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch().ok());
  AnswerToken("two", 3600);
  clock_.Advance(minutes(54));
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(Count(kToken), 1u);
  clock_.Advance(minutes(1));
  ASSERT_TRUE(Fetch().ok());
  ASSERT_TRUE(RunUntil([&] { return Count(kToken) == 2; }));
  RunUntil([n = 0]() mutable { return ++n > 20; });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(LastToken(), "Bearer two");
}

TEST_F(AzureProviderTest, InAnOutageOfEntraTheOldTokenServesUntilItsEnd) {
  AnswerToken("one", 3600);
  Answer(kRead, 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch().ok());
  Answer(kToken, 503, "");
  clock_.Advance(minutes(56));
  ASSERT_TRUE(Fetch().ok());
  ASSERT_TRUE(RunUntil([&] { return Count(kToken) == 2; }));
  RunUntil([n = 0]() mutable { return ++n > 20; });
  // Tried again after a pause, not with each read.
  ASSERT_TRUE(Fetch().ok());
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(Count(kToken), 2u);
  clock_.Advance(seconds(31));
  ASSERT_TRUE(Fetch().ok());
  ASSERT_TRUE(RunUntil([&] { return Count(kToken) == 3; }));
  RunUntil([n = 0]() mutable { return ++n > 20; });
  clock_.Advance(minutes(4));
  EXPECT_EQ(Fetch().status().code(), StatusCode::kUnavailable);
  AnswerToken("two", 3600);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(LastToken(), "Bearer two");
}

TEST_F(AzureProviderTest, ARefusedTokenIsReplacedByOneLogin) {
  AnswerToken("one", 3600);
  Answer(kRead, 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch().ok());
  clock_.Advance(minutes(5));
  AnswerToken("two", 3600);
  Challenge();
  // The new token is refused, too: an answer, and no second login.
  const auto refused = Fetch();
  EXPECT_EQ(refused.status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Count(kToken), 2u);
  EXPECT_EQ(LastToken(), "Bearer two");
  EXPECT_EQ(Fetch().status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Count(kToken), 2u);
  Answer(kRead, 200, kSecret);
  EXPECT_TRUE(Fetch().ok());
}

TEST_F(AzureProviderTest, RedirectsToAnotherHostAreRefused) {
  AnswerToken("one", 3600);
  HttpTestServer::Response response;
  response.status = 302;
  response.headers = {{"Location", "https://evil.test/secrets/app"}};
  Answer(kRead, response);
  Make(Config());
  EXPECT_EQ(Fetch().status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(AzureProviderTest, DroppingTheProviderEndsReadsUnderWay) {
  HttpTestServer::Response held;
  held.hold = true;
  Answer(kToken, held);
  Make(Config());
  std::future<Results> read = StartFetch("app");
  ASSERT_TRUE(RunUntil([&] { return Count(kToken) == 1; }));
  // As the cache does it: the coroutine still holds what it needs.
  std::shared_ptr<Provider> last = std::move(provider_);
  context_.restart();
  last.reset();
  context_.run_for(std::chrono::milliseconds(20));
  server_.Release();
}

TEST_F(AzureProviderTest, ConfigurationsThatCannotWorkNameTheField) {
  const auto error_of = [&](auto change) {
    AzureStoreConfig config = Config();
    change(config);
    const absl::Status status = MakeError(config);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return std::string(MessageOf(status));
  };
  EXPECT_THAT(error_of([](auto& c) { c.vault_url = "http://team.vault.azure.net"; }),
              HasSubstr("vaultUrl"));
  EXPECT_THAT(error_of([](auto& c) { c.vault_url = "http://127.evil.example"; }),
              HasSubstr("without TLS"));
  EXPECT_THAT(error_of([](auto& c) { c.authority_host = "http://127.evil.example"; }),
              HasSubstr("without TLS"));
  EXPECT_THAT(error_of([](auto& c) { c.metadata_host = "http://127.evil.example"; }),
              HasSubstr("without TLS"));
  EXPECT_THAT(error_of([](auto& c) { c.identity_endpoint = "http://127.evil.example/token"; }),
              HasSubstr("without TLS"));
  EXPECT_THAT(error_of([](auto& c) { c.vault_url = "https://team.vault.azure.net/secrets"; }),
              HasSubstr("vaultUrl"));
  EXPECT_THAT(error_of([](auto& c) { c.vault_url = ""; }), HasSubstr("vaultUrl"));
  EXPECT_THAT(error_of([](auto& c) { c.authority_host = "https://u@login.test"; }),
              HasSubstr("authorityHost"));
  EXPECT_THAT(error_of([](auto& c) { c.tenant_id.text = "../other"; }), HasSubstr("tenantId"));
  EXPECT_THAT(error_of([](auto& c) {
                c.authority_host.clear();
                c.environment_type = "AzureStackCloud";
              }),
              HasSubstr("authorityHost"));
  EXPECT_THAT(error_of([](auto& c) { c.auth = AzureClientSecretAuth{}; }), HasSubstr("client id"));
  EXPECT_THAT(error_of([](auto& c) { c.auth = AzureWorkloadIdentityAuth{}; }),
              HasSubstr("AZURE_CLIENT_ID"));
}

}  // namespace
}  // namespace secretfs::providers
