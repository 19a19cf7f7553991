// What stays in the memory of a server and its holder: looked for as a thief would, in all of
// /proc/PID/mem. A value in use has copies in guarded memory only; one that was rotated, expired or
// replaced has none, and docs/security.md names the exceptions.

#include <signal.h>

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/text.h"
#include "tests/fakes/http_test_server.h"
#include "tests/integration/secrecy/memory_search.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using fakes::HttpTestServer;
using std::chrono::seconds;

// Long enough for no accident and for memory of libraries; "%" stays apart in the test's own
// memory.
std::string Planted(const std::string& what) {
  std::string text = "planted-" + what + "-";
  while (text.size() < 48) text += "0123456789abcdef";
  return text;
}

class MemoryTest : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (IsSkipped()) return;
    // The daemon is nobody's to look into but root's.
    if (geteuid() != 0) GTEST_SKIP() << "reading another process's memory needs root";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's heap keeps what was freed";
#endif
  }

  pid_t ServerProcess() {
    const Finished status = Secretfs({"status", "--json", mount_point()});
    const auto report = nlohmann::json::parse(status.output, nullptr, false);
    return report.is_object() ? report["mounts"][0].value("serverPid", 0) : 0;
  }
  // The holder and its server.
  void Watch(const ChildProcess& daemon) {
    processes_ = {daemon.pid(), ServerProcess()};
    for (const pid_t process : processes_) ASSERT_TRUE(CanSearch(process)) << process;
  }

  // Soon: a refresh or the kernel's word about an old inode may be under way.
  void ExpectGone(const std::string& text, const std::string& what) {
    std::string places;
    const bool gone = Eventually([&] {
      places.clear();
      for (const pid_t process : processes_) places += testing::Describe(CopiesIn(process, text));
      return places.empty();
    });
    EXPECT_TRUE(gone) << what << " is still there:\n" << places;
  }
  void ExpectGuarded(const std::string& text, const std::string& what) {
    std::string places;
    const bool guarded = Eventually([&] {
      places.clear();
      for (const pid_t process : processes_) {
        places += testing::Describe(UnguardedCopiesIn(process, text));
      }
      return places.empty();
    });
    EXPECT_TRUE(guarded) << what << " lies in memory that is not guarded:\n" << places;
    EXPECT_FALSE(CopiesIn(processes_.back(), text).empty())
        << what << " is nowhere, so this test saw nothing";
  }

 private:
  std::vector<pid_t> processes_;
};

TEST_F(MemoryTest, TheSearchFindsWhatIsThere) {
  const std::string text = Planted("in-a-child's-environment");
  ChildProcess child({"sleep", "60"}, {.environment = {{"PLANTED", text}}});
  EXPECT_TRUE(Eventually([&] { return !CopiesIn(child.pid(), text).empty(); }));
  EXPECT_FALSE(UnguardedCopiesIn(child.pid(), text).empty());
}

TEST_F(MemoryTest, ALocalStoresValues) {
  const std::string first = Planted("local-first"), second = Planted("local-second");
  InitStore();
  Put("password", first);
  ChildProcess& daemon = Mount({"local:" + store().string()});
  ASSERT_EQ(ReadFile(mount_point() / "password"), first);
  Watch(daemon);
  ExpectGuarded(first, "the value");
  Put("password", second);
  ASSERT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == second; }));
  ExpectGone(first, "the value before");
  ExpectGuarded(second, "the new value");
  const Finished removed = Secretfs({"store", "rm", "--store", store(), "password"});
  ASSERT_EQ(removed.exit_code, 0) << removed.errors;
  ASSERT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password").empty(); }));
  ExpectGone(second, "the value that was removed");
}

// Plays a Vault with one secret and logins by secret id.
class FakeVault {
 public:
  explicit FakeVault(std::optional<HttpTestServer::Tls> tls)
      : server_([this](const HttpTestServer::Request& request) { return Answer(request); },
                std::move(tls)) {}

  std::string address() const { return server_.Url(""); }
  void SetValue(const std::string& value) {
    const std::lock_guard lock(mutex_);
    value_ = value;
    ++version_;
  }
  // Who shows this secret id gets this token.
  void SetLogin(const std::string& secret_id, const std::string& token) {
    const std::lock_guard lock(mutex_);
    secret_id_ = secret_id;
    token_ = token;
  }
  void SetDown(bool down) { is_down_ = down; }
  std::string last_token() const {
    const std::lock_guard lock(mutex_);
    return last_token_;
  }

 private:
  static HttpTestServer::Response InvalidToken() {
    HttpTestServer::Response response;
    response.status = 403;
    response.body =
        R"({"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})";
    return response;
  }
  HttpTestServer::Response Answer(const HttpTestServer::Request& request) {
    const std::lock_guard lock(mutex_);
    HttpTestServer::Response response;
    response.headers = {{"Content-Type", "application/json"}};
    response.status = is_down_ ? 503 : 404;
    response.body = "{}";
    if (is_down_) return response;
    if (request.target == "/v1/auth/approle/login") {
      const bool known = request.body.find(secret_id_) != std::string::npos;
      response.status = known ? 200 : 400;
      if (known) {
        response.body = Format(
            R"({{"auth":{{"client_token":"{}","lease_duration":3600,"renewable":true}}}})", token_);
      }
    } else if (request.target.starts_with("/v1/secret/data/app")) {
      last_token_ = request.header("x-vault-token");
      if (last_token_ != token_) return InvalidToken();
      response.status = 200;
      response.body = Format(R"({{"data":{{"data":{{"v":"{}"}},"metadata":{{"version":{}}}}}}})",
                             value_, version_);
    } else if (request.target.starts_with("/v1/auth/token/")) {
      if (request.header("x-vault-token") != token_) return InvalidToken();
      response.status = 200;
      response.body = R"({"data":{},"auth":{}})";
    }
    return response;
  }

  mutable std::mutex mutex_;
  std::string value_, secret_id_, token_, last_token_;
  int version_ = 0;
  std::atomic<bool> is_down_ = false;
  HttpTestServer server_;
};

class VaultMemoryTest : public MemoryTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    MemoryTest::SetUp();
    if (IsSkipped()) return;
    std::optional<HttpTestServer::Tls> tls;
    if (GetParam()) tls = {.identity = authority_.Issue("vault"), .client_authority = ""};
    vault_ = std::make_unique<FakeVault>(std::move(tls));
    WriteFile("ca.pem", authority_.certificate());
  }
  ChildProcess& MountVault(const std::string& policy) {
    const std::string manifest = WriteFile(
        "secretfs.yaml",
        "stores:\n  team:\n    vault:\n      server: " + vault_->address() +
            "\n      path: secret\n      version: v2\n      tls:\n        caFile: ca.pem\n"
            "      auth:\n        appRole:\n          roleId: app\n          secretId:\n"
            "            file: secret-id\npolicy: " +
            policy + "\nfiles:\n  - path: password\n    key: app\n    property: v\n");
    return Mount({"-f", manifest});
  }
  std::string Read() const { return ReadFile(mount_point() / "password"); }

  fakes::TestAuthority authority_;
  std::unique_ptr<FakeVault> vault_;
};

TEST_P(VaultMemoryTest, ValuesTokensAndSecretIds) {
  const std::string value = Planted("vault-value"), next_value = Planted("vault-next-value");
  const std::string token = Planted("token"), next_token = Planted("next-token");
  const std::string id = Planted("secret-id"), next_id = Planted("next-secret-id");
  vault_->SetValue(value);
  vault_->SetLogin(id, token);
  WriteFile("secret-id", id);
  ChildProcess& daemon =
      MountVault("{ttl: 300ms, maxStale: 300ms, staleIfError: 500ms, deadline: 1s}");
  ASSERT_EQ(Read(), value);
  Watch(daemon);
  ExpectGuarded(value, "the value");
  ExpectGuarded(token, "the token");
  ExpectGone(id, "the secret id, which stands in a file");

  vault_->SetLogin(next_id, next_token);
  WriteFile("secret-id", next_id);
  ASSERT_TRUE(Eventually([&] { return vault_->last_token() == next_token; }));
  vault_->SetValue(next_value);
  ASSERT_TRUE(Eventually([&] { return Read() == next_value; }));
  ExpectGuarded(token, "the token before, which is given back at the end");
  ExpectGone(next_id, "the next secret id");
  ExpectGone(value, "the value before");
  ExpectGuarded(next_value, "the next value");
  ExpectGuarded(next_token, "the next token");

  vault_->SetDown(true);
  ASSERT_TRUE(Eventually([&] { return Read().empty(); }, seconds(20)));
  ExpectGone(next_value, "the value that expired");
  ExpectGuarded(next_token, "the token during an outage");
  const pid_t server = ServerProcess();
  Unmount();
  EXPECT_FALSE(CanSearch(server)) << "the server outlived its mount";
}

INSTANTIATE_TEST_SUITE_P(Transports, VaultMemoryTest, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace secretfs::testing
