#include "cli/kubernetes_environment.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/text.h"
#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

using providers::KubernetesStoreConfig;
using providers::KubernetesTokenAuth;
using ::testing::HasSubstr;

class KubernetesEnvironmentTest : public ::testing::Test {
 protected:
  KubernetesEnvironmentTest() {
    std::string name = (std::filesystem::temp_directory_path() / "kubernetes-env.XXXXXX").string();
    folder_ = mkdtemp(name.data());
    std::filesystem::create_directories(folder_ / "home/.kube");
    std::filesystem::create_directories(folder_ / "pod");
  }
  ~KubernetesEnvironmentTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static std::string Kubeconfig(const std::string& server) {
    return "current-context: c\nclusters: [{name: c, cluster: {server: '" + server +
           "', certificate-authority-data: Q0E=}}]\nusers: [{name: u, user: {token: t}}]\n"
           "contexts: [{name: c, context: {cluster: c, user: u, namespace: elsewhere}}]\n";
  }
  absl::StatusOr<KubernetesStoreConfig> Complete(KubernetesStoreConfig config,
                                                 std::map<std::string, std::string> variables) {
    variables.emplace("HOME", (folder_ / "home").string());
    return CompleteKubernetesConfig(std::move(config), FakeEnvironment(std::move(variables)),
                                    (folder_ / "pod").string());
  }
  static KubernetesTokenAuth TokenFrom(const std::string& file) {
    KubernetesTokenAuth auth;
    auth.token.file = file;
    return auth;
  }

  std::filesystem::path folder_;
  const std::map<std::string, std::string> in_pod_ = {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"},
                                                      {"KUBERNETES_SERVICE_PORT", "6443"}};
};

TEST_F(KubernetesEnvironmentTest, APodAsksItsOwnClusterAsItself) {
  const std::string token = Write("pod/token", "t");
  const auto config = Complete({}, in_pod_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server.url, "https://10.0.0.1:6443");
  EXPECT_EQ(config->server.tls.ca_file, (folder_ / "pod/ca.crt").string());
  EXPECT_EQ(std::get<KubernetesTokenAuth>(config->server.auth).token.file, token);
  EXPECT_EQ(config->remote_namespace, "default");
  EXPECT_EQ(Complete({}, {{"KUBERNETES_SERVICE_HOST", "fd00::1"}})->server.url,
            "https://[fd00::1]:443");
}

TEST_F(KubernetesEnvironmentTest, OtherwiseAsKubectlFindsIt) {
  EXPECT_THAT(Complete({}, {}).status().ToString(), HasSubstr("no API server is known"));
  Write("home/.kube/config", Kubeconfig("https://home"));
  const auto config = Complete({}, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server.url, "https://home");
  EXPECT_EQ(config->server.tls.ca_bundle, "CA");
  EXPECT_EQ(config->remote_namespace, "default") << "the manifest's word, not the kubeconfig's";
  const std::string other = Write("other", Kubeconfig("https://other"));
  EXPECT_EQ(Complete({}, {{"KUBECONFIG", "/nonexistent:" + other}})->server.url, "https://other");
  KubernetesStoreConfig named;
  named.kubeconfig.file = other;
  EXPECT_EQ(Complete(named, in_pod_)->server.url, "https://other");
  named.kubeconfig.file = "/nonexistent";
  EXPECT_THAT(Complete(named, {}).status().ToString(), HasSubstr("/nonexistent"));
}

TEST_F(KubernetesEnvironmentTest, WhatTheManifestSaysWins) {
  Write("home/.kube/config", Kubeconfig("https://home"));
  KubernetesStoreConfig config;
  config.server.tls.ca_file = "/own-ca";
  config.server.auth = TokenFrom("/own-token");
  const auto mixed = Complete(config, {});
  ASSERT_TRUE(mixed.ok()) << mixed.status();
  EXPECT_EQ(mixed->server.url, "https://home");
  EXPECT_EQ(mixed->server.tls.ca_file, "/own-ca");
  EXPECT_EQ(mixed->server.tls.ca_bundle, "");
  EXPECT_EQ(std::get<KubernetesTokenAuth>(mixed->server.auth).token.file, "/own-token");
  // A whole description needs no kubeconfig, readable or not.
  config.server.url = "https://own";
  config.kubeconfig = {};
  Write("home/.kube/config", "[");
  EXPECT_EQ(Complete(config, {})->server.url, "https://own");
}

TEST_F(KubernetesEnvironmentTest, ACredentialGoesToTheServerItIsForOnly) {
  Write("home/.kube/config", Kubeconfig("https://home"));
  KubernetesStoreConfig config;
  config.server.url = "https://elsewhere";
  const auto result = Complete(config, {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(result.status().ToString(), HasSubstr("set auth"));
  config.server.url = "https://home";
  EXPECT_TRUE(Complete(config, {}).ok());
}

TEST_F(KubernetesEnvironmentTest, AServiceAccountsTokensComeFromHome) {
  Write("home/.kube/config", Kubeconfig("https://home"));
  KubernetesStoreConfig config;
  config.server.url = "https://elsewhere";
  config.service_account = {.name = "reader", .name_space = "apps", .audiences = {}};
  const auto complete = Complete(config, {});
  ASSERT_TRUE(complete.ok()) << complete.status();
  EXPECT_EQ(complete->server.url, "https://elsewhere");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(complete->server.auth));
  EXPECT_EQ(complete->home.url, "https://home");
  EXPECT_TRUE(std::holds_alternative<KubernetesTokenAuth>(complete->home.auth));
}

}  // namespace
}  // namespace secretfs::cli
