// What stands between the client and a server: name resolution and a proxy.

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <stdlib.h>

#include <chrono>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "providers/http/http_client.h"
#include "tests/unit/providers/http/http_client_fixture.h"

namespace secretfs::providers {
namespace {

using fakes::HttpTestServer;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kSlowName[] = "slow-name.example";
// Has the addresses 127.0.0.2 and 127.0.0.1, in this order.
constexpr char kTwoAddresses[] = "two-addresses.example";

// The name server of this test program: looking up kSlowName waits until a test lets it go on, and
// then finds 127.0.0.1.
class SlowName {
 public:
  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
    lookups_ = 0;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
    changed_.SignalAll();
  }
  void WaitForRelease() {
    absl::MutexLock lock(&mutex_);
    ++lookups_;
    changed_.SignalAll();
    while (held_) changed_.Wait(&mutex_);
  }
  // False when no lookup has begun since Hold within ten seconds.
  bool WaitForLookup() {
    absl::MutexLock lock(&mutex_);
    while (lookups_ == 0) {
      if (changed_.WaitWithTimeout(&mutex_, absl::Seconds(10))) return false;
    }
    return true;
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int lookups_ ABSL_GUARDED_BY(mutex_) = 0;
};

SlowName& TheSlowName() {
  static SlowName* name = new SlowName;  // lookups may outlive the tests
  return *name;
}

}  // namespace
}  // namespace secretfs::providers

// Stands in front of the C library's for this whole program, libcurl included.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  using Function = int(const char*, const char*, const addrinfo*, addrinfo**);
  static Function* const real = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node != nullptr && std::string(node) == secretfs::providers::kSlowName) {
    secretfs::providers::TheSlowName().WaitForRelease();
    node = "127.0.0.1";
  }
  if (node != nullptr && std::string(node) == secretfs::providers::kTwoAddresses) {
    const int failed = real("127.0.0.2", service, hints, result);
    if (failed != 0) return failed;
    addrinfo* last = *result;
    while (last->ai_next != nullptr) last = last->ai_next;
    return real("127.0.0.1", service, hints, &last->ai_next);
  }
  return real(node, service, hints, result);
}

namespace secretfs::providers {
namespace {

class HttpNetworkTest : public HttpClientTest {
 protected:
  ~HttpNetworkTest() override {
    TheSlowName().Release();
    unsetenv("http_proxy");
  }
};

TEST_F(HttpNetworkTest, ASlowNameServerHoldsUpNothingElse) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  TheSlowName().Hold();
  const std::string slow = Format("http://{}:{}/", kSlowName, server.port());
  std::future<Result> waiting = Start(Get(slow, seconds(20)));
  ASSERT_TRUE(TheSlowName().WaitForLookup());
  EXPECT_TRUE(Send(Get(server.Url())).ok());
  TheSlowName().Release();
  const Result result = waiting.get();
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(HttpNetworkTest, TheDeadlineHoldsDuringNameResolution) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  TheSlowName().Hold();
  const auto begin = std::chrono::steady_clock::now();
  const Result result = Send(Get(Format("http://{}:{}/", kSlowName, server.port()), seconds(1)));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), "while connecting")) << result.status();
  EXPECT_TRUE(Send(Get(server.Url())).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(8));
}

TEST_F(HttpNetworkTest, TheClientEndsDuringNameResolution) {
  TheSlowName().Hold();
  std::future<Result> waiting = Start(Get(Format("http://{}/", kSlowName)));
  ASSERT_TRUE(TheSlowName().WaitForLookup());
  DestroyClient();
  EXPECT_EQ(waiting.get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(HttpNetworkTest, TheNextAddressIsTriedWhenOneRefuses) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  for (int round = 0; round < 10; ++round) {
    MakeClient();
    const auto begin = std::chrono::steady_clock::now();
    const Result result =
        Send(Get(Format("http://{}:{}/", kTwoAddresses, server.port()), seconds(10)));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(8));
  }
}

TEST_F(HttpNetworkTest, TheProxyOfTheEnvironmentIsUsed) {
  HttpTestServer proxy([](const auto&) { return Answer("through the proxy"); });
  setenv("http_proxy", proxy.Url("").c_str(), 1);
  const Result result = Send(Get("http://store.invalid/v1/app"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->body.ExposeAsText(), "through the proxy");
  EXPECT_EQ(proxy.requests().at(0).target, "http://store.invalid/v1/app");
}

TEST_F(HttpNetworkTest, NoProxyGetsWhatStaysOnThisMachineWithoutTls) {
  HttpTestServer proxy([](const auto&) { return Answer("through the proxy"); });
  HttpTestServer server([](const auto&) { return Answer("directly"); });
  setenv("http_proxy", proxy.Url("").c_str(), 1);
  const char* const set = getenv("no_proxy");
  const std::string excepted = set == nullptr ? "" : set;
  unsetenv("no_proxy");
  for (const char* host : {"127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"}) {
    const Result result = Send(Get(Format("http://{}:{}/", host, server.port())));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->body.ExposeAsText(), "directly") << host;
  }
  EXPECT_EQ(Send(Get("http://store.invalid/"))->body.ExposeAsText(), "through the proxy");
  setenv("no_proxy", excepted.c_str(), 1);
  EXPECT_EQ(proxy.request_count(), 1u);
}

TEST_F(HttpNetworkTest, AProxyThatCannotBeReachedIsNamed) {
  setenv("http_proxy", "http://user:planted-word@127.0.0.1:1", 1);
  const Result result = Send(Get("http://store.invalid/v1/app"));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), "the proxy 127.0.0.1:1")) << result.status();
  EXPECT_FALSE(Contains(MessageOf(result.status()), "planted-word")) << result.status();
}

}  // namespace
}  // namespace secretfs::providers
