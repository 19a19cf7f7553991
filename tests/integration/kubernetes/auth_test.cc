// The ways to authenticate, against a real API server.

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/text.h"
#include "tests/integration/kubernetes/kubernetes_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

class KubernetesAuth : public KubernetesTest {
 protected:
  void SetUp() override {
    KubernetesTest::SetUp();
    server().PutSecret(name_space(), "db", {{"password", "one"}});
    server().CreateServiceAccount(name_space(), "app");
    server().Grant(name_space(), UserOf("app"), SecretRule({"get", "list", "watch"}));
  }
  std::string AppToken() { return server().TokenOf(name_space(), "app"); }
  std::string Password(providers::Provider& provider) {
    return Field(Fetch(provider, "db"), "password");
  }

  // A credential plugin that runs `script`, which may use $RUNS (a file that gets a line for each
  // run) and $KUBERNETES_EXEC_INFO.
  providers::KubernetesStoreConfig WithPlugin(const std::string& script) {
    auto config = Config();
    providers::KubernetesExecAuth exec;
    exec.command = "sh";
    exec.arguments = {"-c", "echo run >> \"$RUNS\"; " + script};
    exec.environment = {{"RUNS", Runs()}};
    config.server.auth = exec;
    return config;
  }
  std::string Runs() { return (server().folder() / ("runs-" + name_space())).string(); }
  size_t RunCount() {
    std::ifstream file(Runs());
    size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }
  static std::string Credential(const nlohmann::json& status) {
    return nlohmann::json{{"apiVersion", "client.authentication.k8s.io/v1"},
                          {"kind", "ExecCredential"},
                          {"status", status}}
        .dump();
  }
  // "2026-11-24T18:00:00Z", so many seconds from now.
  static std::string TimeIn(int seconds) {
    const time_t when = time(nullptr) + seconds;
    char text[32];
    strftime(text, sizeof text, "%FT%TZ", gmtime(&when));
    return text;
  }
};

TEST_F(KubernetesAuth, ATokenFileIsReadAgainWhenItIsReplaced) {
  const std::string name = "token-" + name_space();
  auto config = Config();
  config.server.auth =
      providers::KubernetesTokenAuth{File(server().ReplaceFile(name, "no-token-at-all\n"))};
  const auto provider = Make(config);
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kUnauthenticated));
  server().ReplaceFile(name, AppToken() + "\n");
  EXPECT_EQ(Password(*provider), "one");
  EXPECT_TRUE(CheckLogin(*provider).ok());
  // While the file is away, the token goes on being used.
  std::filesystem::remove(server().folder() / name);
  EXPECT_EQ(Password(*provider), "one");
}

TEST_F(KubernetesAuth, AMissingTokenFileIsNamed) {
  auto config = Config();
  config.server.auth = providers::KubernetesTokenAuth{File("/nonexistent/token")};
  const auto result = Fetch(*Make(config), "db");
  EXPECT_THAT(result, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(result.status().ToString(), HasSubstr("/nonexistent/token"));
}

TEST_F(KubernetesAuth, AClientCertificateFromFilesAndFromMemory) {
  server().Grant(name_space(), "carol", SecretRule({"get"}));
  const fakes::CertificateAndKey carol = server().authority().Issue("carol", {});
  auto config = Config();
  config.server.auth = providers::KubernetesCertificateAuth{};
  auto files = config;
  files.server.tls.client_certificate_file = server().ReplaceFile("carol.crt", carol.certificate);
  files.server.tls.client_key_file = server().ReplaceFile("carol.key", carol.key);
  EXPECT_EQ(Password(*Make(files)), "one");
  auto memory = config;
  memory.server.tls.client_certificate = Inline(carol.certificate).inline_value;
  memory.server.tls.client_key = Inline(carol.key).inline_value;
  EXPECT_EQ(Password(*Make(memory)), "one");
}

TEST_F(KubernetesAuth, AServiceAccountsTokenIsAskedForAndUsedWithItsRightsOnly) {
  // Whoever asks may make tokens, and nothing else.
  server().CreateServiceAccount(name_space(), "asker");
  server().Grant(name_space(), UserOf("asker"),
                 nlohmann::json::array({{{"apiGroups", {""}},
                                         {"resources", {"serviceaccounts/token"}},
                                         {"resourceNames", {"app"}},
                                         {"verbs", {"create"}}}}));
  auto config = Config(server().TokenOf(name_space(), "asker"));
  EXPECT_THAT(Fetch(*Make(config), "db"), HasCode(StatusCode::kPermissionDenied));
  config.service_account = {
      .name = "app", .name_space = name_space(), .audiences = {"https://kubernetes.default.svc"}};
  EXPECT_EQ(Password(*Make(config)), "one");

  config.service_account->name = "other";
  server().CreateServiceAccount(name_space(), "other");
  const auto refused = Fetch(*Make(config), "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("asking for a token of service account"));

  // A token for somebody else's audience is not accepted here.
  config.service_account = {
      .name = "app", .name_space = name_space(), .audiences = {"https://elsewhere.example"}};
  EXPECT_THAT(Fetch(*Make(config), "db"), HasCode(StatusCode::kUnauthenticated));
}

TEST_F(KubernetesAuth, APluginsTokenIsUsedUntilItExpires) {
  const auto provider = Make(WithPlugin(
      "echo '" + Credential({{"token", AppToken()}, {"expirationTimestamp", TimeIn(3600)}}) + "'"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Password(*provider), "one");
  EXPECT_EQ(RunCount(), 1u);
  // One that is about to end is not used again.
  std::filesystem::remove(Runs());
  const auto short_lived = Make(WithPlugin(
      "echo '" + Credential({{"token", AppToken()}, {"expirationTimestamp", TimeIn(2)}}) + "'"));
  EXPECT_EQ(Password(*short_lived), "one");
  EXPECT_EQ(Password(*short_lived), "one");
  EXPECT_EQ(RunCount(), 2u);
}

TEST_F(KubernetesAuth, ManyReadersStartOnePlugin) {
  const auto provider =
      Make(WithPlugin("sleep 0.3; echo '" + Credential({{"token", AppToken()}}) + "'"));
  std::vector<std::future<std::vector<absl::StatusOr<providers::SecretPtr>>>> reads;
  for (int i = 0; i < 20; ++i) {
    std::vector<providers::SecretRef> refs = {{"db", ""}};
    reads.push_back(asio::co_spawn(io_.context(), provider->Fetch(std::move(refs), Deadline()),
                                   asio::use_future));
  }
  // The I/O thread is free meanwhile.
  const auto asked = std::chrono::steady_clock::now();
  io_.RunAndWait([] {});
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::milliseconds(250));
  for (auto& read : reads) EXPECT_EQ(Field(read.get()[0], "password"), "one");
  EXPECT_EQ(RunCount(), 1u);
}

TEST_F(KubernetesAuth, APluginsClientCertificateIsUsed) {
  server().Grant(name_space(), "dave", SecretRule({"get"}));
  const fakes::CertificateAndKey dave = server().authority().Issue("dave", {});
  const std::string output =
      server().ReplaceFile("dave.json", Credential({{"clientCertificateData", dave.certificate},
                                                    {"clientKeyData", dave.key},
                                                    {"expirationTimestamp", TimeIn(2)}}));
  const auto provider = Make(WithPlugin("cat " + output));
  EXPECT_EQ(Password(*provider), "one");
  // The next run gives another one, for a user who may do nothing.
  const fakes::CertificateAndKey eve = server().authority().Issue("eve", {});
  server().ReplaceFile("dave.json", Credential({{"clientCertificateData", eve.certificate},
                                                {"clientKeyData", eve.key}}));
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kPermissionDenied));
}

TEST_F(KubernetesAuth, APluginIsToldWhatItAsksFor) {
  auto config = WithPlugin("printf %s \"$KUBERNETES_EXEC_INFO\" > \"$RUNS.info\"; echo '" +
                           Credential({{"token", AppToken()}}) + "'");
  auto& exec = std::get<providers::KubernetesExecAuth>(config.server.auth);
  exec.provide_cluster_info = true;
  exec.cluster_config = R"({"audience":"x"})";
  EXPECT_EQ(Password(*Make(config)), "one");
  std::ifstream file(Runs() + ".info");
  const nlohmann::json info = nlohmann::json::parse(file);
  EXPECT_EQ(info["kind"], "ExecCredential");
  EXPECT_EQ(info["apiVersion"], "client.authentication.k8s.io/v1");
  EXPECT_EQ(info["spec"]["interactive"], false);
  EXPECT_EQ(info["spec"]["cluster"]["server"], server().address());
  EXPECT_EQ(info["spec"]["cluster"]["certificate-authority-data"],
            Base64(server().authority().certificate()));
  EXPECT_EQ(info["spec"]["cluster"]["config"]["audience"], "x");
}

TEST_F(KubernetesAuth, PluginsThatDoNotWorkSayWhy) {
  const auto failing = Fetch(*Make(WithPlugin("exit 3")), "db");
  EXPECT_THAT(failing, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(failing.status().ToString(), HasSubstr("sh ended with status 3"));
  const auto garbage = Fetch(*Make(WithPlugin("echo planted-word")), "db");
  EXPECT_THAT(garbage, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(garbage.status().ToString(), Not(HasSubstr("planted-word")));
  auto missing = WithPlugin("");
  auto& exec = std::get<providers::KubernetesExecAuth>(missing.server.auth);
  exec.command = "no-such-plugin";
  exec.install_hint = "install no-such-plugin from your vendor";
  const auto absent = Fetch(*Make(missing), "db");
  EXPECT_THAT(absent, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(absent.status().ToString(), HasSubstr("install no-such-plugin from your vendor"));
}

TEST_F(KubernetesAuth, APluginThatHangsIsLeftByItsReaderAndEndedWithTheProvider) {
  auto provider = Make(WithPlugin("echo $$ > \"$RUNS.pid\"; sleep 1000"));
  std::vector<providers::SecretRef> refs = {{"db", ""}};
  const auto results = Await(provider->Fetch(
      std::move(refs), {.deadline = clock_.Now() + std::chrono::milliseconds(500)}));
  EXPECT_THAT(results[0], HasCode(StatusCode::kDeadlineExceeded));
  pid_t pid = 0;
  ASSERT_TRUE(
      Eventually([&] { return (std::ifstream(Runs() + ".pid") >> pid).good() || pid > 0; }));
  EXPECT_EQ(kill(pid, 0), 0);
  provider.reset();
  EXPECT_TRUE(Eventually([pid] { return kill(pid, 0) != 0; }));
}

TEST_F(KubernetesAuth, AnUntrustedServerIsRefused) {
  auto config = Config();
  config.server.tls.ca_bundle = fakes::TestAuthority("another").certificate();
  const auto result = Fetch(*Make(config), "db");
  EXPECT_THAT(result, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(result.status().ToString(), HasSubstr("certificate"));
}

}  // namespace
}  // namespace secretfs::testing
