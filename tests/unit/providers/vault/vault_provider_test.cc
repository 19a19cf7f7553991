// The provider against a server that answers as the test says, on a clock that the test turns:
// which requests are made, with what, and how often. tests/integration/vault asks a real Vault.

#include "providers/vault/vault_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSecret = R"({"data":{"data":{"v":"x"},"metadata":{"version":1}}})";
constexpr const char* kKv2Mount =
    R"({"data":{"path":"secret/","type":"kv","options":{"version":"2"}}})";
constexpr const char* kInvalidToken =
    R"({"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})";
constexpr const char* kDenied = R"({"errors":["1 error occurred:\n\t* permission denied\n\n"]})";

class VaultProviderTest : public ::testing::Test {
 protected:
  void TearDown() override { provider_.reset(); }

  // What the server answers to "METHOD /target"; else 404.
  void Answer(const std::string& what, int status, const std::string& body) {
    HttpTestServer::Response response;
    response.status = status;
    response.body = body;
    response.headers = {{"Content-Type", "application/json"}};
    Answer(what, response);
  }
  void Answer(const std::string& what, HttpTestServer::Response response) {
    const std::lock_guard lock(mutex_);
    answers_[what] = std::move(response);
  }
  void AnswerLogin(const std::string& token, int duration) {
    Answer("POST /v1/auth/approle/login", 200,
           Format(R"({{"auth":{{"client_token":"{}","lease_duration":{},"renewable":true}}}})",
                  token, duration));
  }

  VaultStoreConfig Config() {
    VaultStoreConfig config;
    config.server = server_.Url("");
    config.path = "secret";
    config.version = "v2";
    config.auth = VaultTokenAuth{Inline("planted-token")};
    return config;
  }
  VaultStoreConfig AppRole() {
    VaultStoreConfig config = Config();
    VaultAppRoleAuth auth;
    auth.role_id = "role";
    auth.secret_id = Inline("planted-secret-id");
    config.auth = auth;
    return config;
  }
  static CredentialSource Inline(std::string_view text) {
    CredentialSource source;
    source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
    return source;
  }
  Provider& Make(const VaultStoreConfig& config) {
    auto provider = MakeVaultProvider(config, context_, clock_, clock_);
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return *provider_;
  }

  // Runs everything on this thread until `done`, at most ten seconds.
  bool RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      context_.restart();
      context_.run_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  template <typename T>
  T Wait(std::future<T> future) {
    EXPECT_TRUE(RunUntil([&] { return future.wait_for(seconds(0)) == std::future_status::ready; }));
    return future.get();
  }
  template <typename T>
  std::future<T> Start(asio::awaitable<T> coroutine) {
    return asio::co_spawn(context_, std::move(coroutine), asio::use_future);
  }
  using Results = std::vector<absl::StatusOr<SecretPtr>>;
  std::future<Results> StartFetch(const std::string& key,
                                  MonotonicTime deadline = MonotonicTime::max()) {
    std::vector<SecretRef> refs = {{key, ""}};
    return Start(provider_->Fetch(std::move(refs), RequestContext{deadline}));
  }
  absl::StatusOr<SecretPtr> Fetch(const std::string& key) { return Wait(StartFetch(key))[0]; }
  StatusCode FetchCode(const std::string& key) { return Fetch(key).status().code(); }

  // Lets the background do what is due now.
  void RunTimers() { clock_.Advance(Duration(0)); }
  // Requests so far as "METHOD /target"; `without_background` leaves out what nobody waits for.
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

  fakes::ManualClock clock_;
  asio::io_context context_;
  std::shared_ptr<Provider> provider_;
  std::mutex mutex_;
  std::map<std::string, HttpTestServer::Response> answers_;
  HttpTestServer server_{[this](const HttpTestServer::Request& request) {
    const std::lock_guard lock(mutex_);
    const auto found = answers_.find(request.method + " " + request.target);
    if (found != answers_.end()) return found->second;
    HttpTestServer::Response missing;
    missing.status = 404;
    missing.body = R"({"errors":[]})";
    missing.headers = {{"Content-Type", "application/json"}};
    return missing;
  }};
};

TEST_F(VaultProviderTest, SendsTokenNamespaceAndConfiguredHeaders) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  VaultStoreConfig config = Config();
  config.name_space = "/team/blue/";
  config.headers = {{"X-Extra", "yes"}};
  Make(config);
  ASSERT_TRUE(Fetch("app").ok());
  const HttpTestServer::Request request = server_.requests().at(0);
  EXPECT_EQ(request.header("x-vault-token"), "planted-token");
  EXPECT_EQ(request.header("x-vault-namespace"), "team/blue");
  EXPECT_EQ(request.header("x-vault-request"), "true");
  EXPECT_EQ(request.header("x-extra"), "yes");
  EXPECT_EQ(request.body, "");
}

TEST_F(VaultProviderTest, AFirstReadIsOneRequestWhereTheEngineIsConfigured) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch("app").ok());
  EXPECT_THAT(Requests(), ElementsAre("GET /v1/secret/data/app"));
}

TEST_F(VaultProviderTest, TheEngineIsAskedForOnceHoweverManyReadsNeedIt) {
  Answer("GET /v1/sys/internal/ui/mounts/secret", 200, kKv2Mount);
  VaultStoreConfig config = Config();
  config.version.clear();
  Make(config);
  std::vector<std::future<Results>> reads;
  for (int i = 0; i < 40; ++i) {
    Answer(Format("GET /v1/secret/data/s{}", i), 200, kSecret);
    reads.push_back(StartFetch(Format("s{}", i)));
  }
  for (auto& read : reads) EXPECT_TRUE(Wait(std::move(read))[0].ok());
  EXPECT_EQ(Count("GET /v1/sys/internal/ui/mounts/secret"), 1u);
  EXPECT_EQ(server_.request_count(), 41u);
}

TEST_F(VaultProviderTest, AReadingThatIsNotTheFirstIsRemembered) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Make(Config());
  ASSERT_TRUE(Fetch("secret/data/app").ok());
  const size_t first = server_.request_count();
  EXPECT_EQ(first, 3u);
  ASSERT_TRUE(Fetch("secret/data/app").ok());
  EXPECT_EQ(server_.request_count(), first + 1);
}

TEST_F(VaultProviderTest, WithoutTheRightToAskForTheEngineBothVersionsAreTried) {
  Answer("GET /v1/sys/internal/ui/mounts/secret", 403, kDenied);
  Answer("GET /v1/sys/internal/ui/mounts", 403, kDenied);
  Answer("GET /v1/secret/data/app", 403, kDenied);
  Answer("GET /v1/secret/app", 200, R"({"data":{"v":"one"}})");
  VaultStoreConfig config = Config();
  config.version.clear();
  Make(config);
  const auto secret = Fetch("app");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ((*secret)->fields.at("v").ExposeAsText(), "one");
  ASSERT_TRUE(Fetch("app").ok());
  EXPECT_EQ(Count("GET /v1/secret/data/app"), 1u);
  EXPECT_EQ(Count("GET /v1/sys/internal/ui/mounts/secret"), 1u);
  clock_.Advance(seconds(61));
  ASSERT_TRUE(Fetch("app").ok());
  EXPECT_EQ(Count("GET /v1/sys/internal/ui/mounts/secret"), 2u);
}

TEST_F(VaultProviderTest, ATokenIsLookedUpInTheBackgroundAndRenewedAtTwoThirdsOfItsLife) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Answer("GET /v1/auth/token/lookup-self", 200, R"({"data":{"ttl":900,"renewable":true}})");
  Answer("POST /v1/auth/token/renew-self", 200,
         R"({"auth":{"client_token":"planted-token","lease_duration":900,"renewable":true}})");
  Make(Config());
  ASSERT_TRUE(Fetch("app").ok());
  RunTimers();
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  EXPECT_EQ(Count("GET /v1/auth/token/lookup-self"), 1u);
  clock_.Advance(seconds(599));
  RunUntil([] { return true; });
  EXPECT_EQ(clock_.pending_timers(), 1u);
  clock_.Advance(seconds(1));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  EXPECT_EQ(Count("POST /v1/auth/token/renew-self"), 1u);
  clock_.Advance(seconds(600));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  EXPECT_EQ(Count("POST /v1/auth/token/renew-self"), 2u);
}

TEST_F(VaultProviderTest, ARenewalThatFailsInAnOutageIsTriedAgainBeforeTheEnd) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  AnswerLogin("one", 900);
  Answer("POST /v1/auth/token/renew-self", 503, "");
  Make(AppRole());
  ASSERT_TRUE(Fetch("app").ok());
  clock_.Advance(seconds(600));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  Answer("POST /v1/auth/token/renew-self", 200,
         R"({"auth":{"client_token":"one","lease_duration":900,"renewable":true}})");
  clock_.Advance(seconds(60));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  EXPECT_EQ(Count("POST /v1/auth/token/renew-self"), 2u);
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 1u);
}

TEST_F(VaultProviderTest, NearItsGreatestAgeATokenIsReplacedByALogin) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  AnswerLogin("one", 900);
  Answer("POST /v1/auth/token/renew-self", 200,
         R"({"auth":{"client_token":"one","lease_duration":300,"renewable":true}})");
  Make(AppRole());
  ASSERT_TRUE(Fetch("app").ok());
  AnswerLogin("two", 900);
  clock_.Advance(seconds(600));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  RunTimers();
  ASSERT_TRUE(RunUntil([&] { return Count("POST /v1/auth/approle/login") == 2; }));
  ASSERT_TRUE(RunUntil([&] { return clock_.pending_timers() == 1; }));
  ASSERT_TRUE(Fetch("app").ok());
  EXPECT_EQ(server_.requests().back().header("x-vault-token"), "two");
}

TEST_F(VaultProviderTest, ManyReadsShareOneLogin) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  AnswerLogin("one", 900);
  Make(AppRole());
  std::vector<std::future<Results>> reads;
  for (int i = 0; i < 30; ++i) reads.push_back(StartFetch("app"));
  for (auto& read : reads) EXPECT_TRUE(Wait(std::move(read))[0].ok());
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 1u);
  EXPECT_EQ(server_.requests().at(0).body, R"({"role_id":"role","secret_id":"planted-secret-id"})");
}

TEST_F(VaultProviderTest, AReadsDeadlineDoesNotEndTheLoginThatOthersWaitFor) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  AnswerLogin("one", 900);
  {
    const std::lock_guard lock(mutex_);
    answers_["POST /v1/auth/approle/login"].hold = true;
  }
  Make(AppRole());
  auto patient = StartFetch("app");
  const auto hasty = Wait(StartFetch("app", clock_.Now() + std::chrono::milliseconds(30)));
  EXPECT_EQ(hasty[0].status().code(), StatusCode::kDeadlineExceeded);
  server_.Release();
  EXPECT_TRUE(Wait(std::move(patient))[0].ok());
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 1u);
}

TEST_F(VaultProviderTest, AnInvalidTokenCostsOneNewLoginAndTheReadSucceeds) {
  AnswerLogin("one", 0);
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Make(AppRole());
  ASSERT_TRUE(Fetch("app").ok());
  AnswerLogin("two", 0);
  Answer("GET /v1/secret/data/app", 403, kInvalidToken);
  EXPECT_EQ(FetchCode("app"), StatusCode::kUnauthenticated);
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 2u);
  EXPECT_EQ(Count("GET /v1/secret/data/app"), 3u);
  Answer("GET /v1/secret/data/app", 200, kSecret);
  EXPECT_EQ(FetchCode("app"), StatusCode::kOk);
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 2u);
}

TEST_F(VaultProviderTest, DeniedPathsCostOneCheckOfTheTokenInHalfAMinute) {
  Answer("GET /v1/auth/token/lookup-self", 200, R"({"data":{"ttl":0,"renewable":false}})");
  Answer("GET /v1/secret/data/open", 200, kSecret);
  std::vector<std::future<Results>> reads;
  Make(Config());
  for (int i = 0; i < 20; ++i) {
    Answer(Format("GET /v1/secret/data/s{}", i), 403, kDenied);
    reads.push_back(StartFetch(Format("s{}", i)));
  }
  for (auto& read : reads) {
    EXPECT_EQ(Wait(std::move(read))[0].status().code(), StatusCode::kPermissionDenied);
  }
  EXPECT_EQ(FetchCode("s1"), StatusCode::kPermissionDenied);
  EXPECT_EQ(FetchCode("open"), StatusCode::kOk);
  EXPECT_EQ(Count("GET /v1/auth/token/lookup-self"), 1u);
}

TEST_F(VaultProviderTest, ADeniedPathLogsInAgainOnlyAfterAWhile) {
  Answer("GET /v1/auth/token/lookup-self", 200, R"({"data":{"ttl":0,"renewable":false}})");
  Answer("GET /v1/secret/data/app", 403, kDenied);
  AnswerLogin("one", 0);
  Make(AppRole());
  EXPECT_EQ(FetchCode("app"), StatusCode::kPermissionDenied);
  clock_.Advance(seconds(60));
  EXPECT_EQ(FetchCode("app"), StatusCode::kPermissionDenied);
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 1u);
  // Somebody may have added the policy to the role: only a new token has it.
  clock_.Advance(seconds(300));
  AnswerLogin("two", 0);
  EXPECT_EQ(FetchCode("app"), StatusCode::kPermissionDenied);
  EXPECT_EQ(Count("POST /v1/auth/approle/login"), 2u);
}

TEST_F(VaultProviderTest, CloseRevokesTheTokensMadeHereAndNoOthers) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Answer("POST /v1/auth/token/revoke-self", 204, "");
  AnswerLogin("one", 900);
  Make(AppRole());
  ASSERT_TRUE(Fetch("app").ok());
  Wait(Start([](Provider& provider) -> asio::awaitable<int> {
    co_await provider.Close({});
    co_return 0;
  }(*provider_)));
  EXPECT_EQ(Count("POST /v1/auth/token/revoke-self"), 1u);
  EXPECT_EQ(server_.requests().back().header("x-vault-token"), "one");
  EXPECT_EQ(clock_.pending_timers(), 0u);
  EXPECT_EQ(FetchCode("app"), StatusCode::kCancelled);

  Make(Config());
  ASSERT_TRUE(Fetch("app").ok());
  Wait(Start([](Provider& provider) -> asio::awaitable<int> {
    co_await provider.Close({});
    co_return 0;
  }(*provider_)));
  EXPECT_EQ(Count("POST /v1/auth/token/revoke-self"), 1u);
}

TEST_F(VaultProviderTest, ALoginThatIsUnderWayAtCloseIsGivenBack) {
  Answer("POST /v1/auth/token/revoke-self", 204, "");
  AnswerLogin("late", 900);
  {
    const std::lock_guard lock(mutex_);
    answers_["POST /v1/auth/approle/login"].hold = true;
  }
  Make(AppRole());
  auto read = StartFetch("app");
  ASSERT_TRUE(RunUntil([&] { return server_.request_count() == 1; }));
  auto closed = Start([](Provider& provider) -> asio::awaitable<int> {
    co_await provider.Close({});
    co_return 0;
  }(*provider_));
  RunUntil([] { return true; });
  server_.Release();
  Wait(std::move(closed));
  EXPECT_EQ(Wait(std::move(read))[0].status().code(), StatusCode::kCancelled);
  EXPECT_EQ(Count("POST /v1/auth/token/revoke-self"), 1u);
  EXPECT_EQ(server_.requests().back().header("x-vault-token"), "late");
}

TEST_F(VaultProviderTest, DroppingTheProviderEndsItsTimers) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  AnswerLogin("one", 900);
  Make(AppRole());
  ASSERT_TRUE(Fetch("app").ok());
  const size_t before = server_.request_count();
  provider_.reset();
  clock_.Advance(seconds(3600));
  RunUntil([] { return true; });
  EXPECT_EQ(server_.request_count(), before);
}

TEST_F(VaultProviderTest, DroppingTheProviderEndsWhatIsUnderWay) {
  Answer("GET /v1/secret/data/app", 200, kSecret);
  Answer("GET /v1/auth/token/lookup-self", 200, "{}");
  {
    const std::lock_guard lock(mutex_);
    answers_["GET /v1/auth/token/lookup-self"].hold = true;
  }
  Make(Config());
  ASSERT_TRUE(Fetch("app").ok());
  RunTimers();
  ASSERT_TRUE(RunUntil([&] { return server_.request_count() == 2; }));
  // The look-up in the background would otherwise hold the connection, and itself, for ever.
  provider_.reset();
  context_.restart();
  context_.run();
  EXPECT_TRUE(context_.stopped());
  server_.Release();
}

TEST_F(VaultProviderTest, AnswersThatAreNoVaultsAreOutagesWithoutTheirContent) {
  Make(Config());
  for (const char* body : {"<html>planted-value</html>", R"({"data":{"planted-value":1}})", "{"}) {
    Answer("GET /v1/secret/data/app", 200, body);
    const auto secret = Fetch("app");
    EXPECT_EQ(secret.status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(secret.status().ToString(), HasSubstr("secret/app"));
    EXPECT_THAT(secret.status().ToString(), HasSubstr(server_.Url("")));
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST_F(VaultProviderTest, ErrorsOfReadsDoNotQuoteTheAnswer) {
  Make(Config());
  for (const int status : {400, 403, 404, 412, 429, 500, 503}) {
    Answer("GET /v1/secret/data/app", status, R"({"errors":["planted-error"],"data":"planted"})");
    const auto secret = Fetch("app");
    EXPECT_FALSE(secret.ok());
    EXPECT_THAT(secret.status().ToString(), HasSubstr(std::to_string(status)));
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST_F(VaultProviderTest, ConfigurationsThatCannotWork) {
  const auto code = [this](const VaultStoreConfig& config) {
    return MakeVaultProvider(config, context_, clock_, clock_).status().code();
  };
  EXPECT_EQ(code(Config()), StatusCode::kOk);
  for (const char* server : {"", "vault.example.com:8200", "ftp://x", "https://", "https://u@x",
                             "https://x?y=z", "https://x y"}) {
    VaultStoreConfig config = Config();
    config.server = server;
    EXPECT_EQ(code(config), StatusCode::kInvalidArgument) << server;
  }
  // Without TLS, but to this machine, only who gave up on TLS altogether.
  for (const char* server : {"http://vault.example:8200", "http://127.evil.example:8200",
                             "http://localhost.evil.example", "http://[::1].evil.example"}) {
    VaultStoreConfig config = Config();
    config.server = server;
    EXPECT_EQ(code(config), StatusCode::kInvalidArgument) << server;
  }
  VaultStoreConfig config = Config();
  config.server = "http://vault.example:8200";
  config.tls.skip_verify = true;
  EXPECT_EQ(code(config), StatusCode::kOk);
  config = Config();
  config.version = "2";
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config = Config();
  config.path = "a/../b";
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  for (const char* header : {"X-Vault-Token", "x-vault-namespace", "a:b", "a b", ""}) {
    config = Config();
    config.headers = {{header, "x"}};
    EXPECT_EQ(code(config), StatusCode::kInvalidArgument) << header;
  }
  config = Config();
  config.auth = VaultTokenAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config.auth = VaultAppRoleAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config.auth = VaultJwtAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config.auth = VaultKubernetesAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace secretfs::providers
