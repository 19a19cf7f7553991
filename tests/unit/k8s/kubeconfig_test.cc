#include "k8s/manifest/kubeconfig.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"

namespace secretfs::k8s {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

KubeconfigText Text(const std::string& name, const std::string& text) {
  return {name, std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text))};
}

// One context named "main", of this cluster and this user (YAML flow mappings).
std::string Config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\npreferences: {colors: true}\ncurrent-context: main\n"
         "clusters:\n- name: c\n  cluster: " +
         cluster + "\nusers:\n- name: u\n  user: " + user +
         "\ncontexts:\n- name: main\n  context: {cluster: c, user: u, namespace: team}\n";
}

KubeconfigContext ReadOk(const std::string& cluster, const std::string& user) {
  auto context = ReadKubeconfig({Text("/home/me/.kube/config", Config(cluster, user))}, "");
  if (context.ok()) return *std::move(context);
  ADD_FAILURE() << context.status();
  return {};
}

std::string ErrorOf(const std::string& cluster, const std::string& user) {
  const auto context = ReadKubeconfig({Text("/k", Config(cluster, user))}, "");
  EXPECT_EQ(context.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(MessageOf(context.status()));
}

constexpr char kServer[] = "{server: 'https://k:6443'}";

TEST(Kubeconfig, AServerWithAToken) {
  const KubeconfigContext context =
      ReadOk("{server: 'https://k:6443', certificate-authority: pki/ca.crt, tls-server-name: api}",
             "{token: planted}");
  EXPECT_EQ(context.access.url, "https://k:6443");
  EXPECT_EQ(context.access.tls.ca_file, "/home/me/.kube/pki/ca.crt");
  EXPECT_EQ(context.access.tls.server_name, "api");
  EXPECT_FALSE(context.access.tls.skip_verify);
  EXPECT_EQ(context.name_space, "team");
  const auto& auth = std::get<providers::KubernetesTokenAuth>(context.access.auth);
  EXPECT_EQ(auth.token.inline_value->ExposeAsText(), "planted");
}

TEST(Kubeconfig, ATokenFileWinsOverAToken) {
  const auto context = ReadOk(kServer, "{token: old, tokenFile: token}");
  const auto& auth = std::get<providers::KubernetesTokenAuth>(context.access.auth);
  EXPECT_EQ(auth.token.file, "/home/me/.kube/token");
  EXPECT_EQ(auth.token.inline_value, nullptr);
}

TEST(Kubeconfig, ClientCertificatesFromDataAndFiles) {
  const auto data = ReadOk("{server: 'https://k', certificate-authority-data: Q0E=}",
                           "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ}");
  EXPECT_EQ(data.access.tls.ca_bundle, "CA");
  EXPECT_EQ(data.access.tls.client_certificate->ExposeAsText(), "CERT");
  EXPECT_EQ(data.access.tls.client_key->ExposeAsText(), "KEY");
  EXPECT_TRUE(std::holds_alternative<providers::KubernetesCertificateAuth>(data.access.auth));
  const auto files = ReadOk("{server: 'https://k', insecure-skip-tls-verify: true}",
                            "{client-certificate: /a.crt, client-key: b.key}");
  EXPECT_EQ(files.access.tls.client_certificate_file, "/a.crt");
  EXPECT_EQ(files.access.tls.client_key_file, "/home/me/.kube/b.key");
  EXPECT_TRUE(files.access.tls.skip_verify);
  EXPECT_THAT(ErrorOf(kServer, "{client-certificate: /a.crt}"), HasSubstr("one half"));
  EXPECT_THAT(ErrorOf(kServer, "{client-certificate-data: '!planted', client-key-data: S0VZ}"),
              AllOf(HasSubstr("this is not base64"), Not(HasSubstr("planted"))));
}

TEST(Kubeconfig, CredentialPlugins) {
  const auto context = ReadOk(
      "{server: 'https://k', extensions: [{name: client.authentication.k8s.io/exec, extension: "
      "{audience: x, n: 5, yes: true, text: '5'}}]}",
      "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [eks, get-token], "
      "env: [{name: AWS_PROFILE, value: team}], provideClusterInfo: true, interactiveMode: "
      "IfAvailable, installHint: install it}}");
  const auto& exec = std::get<providers::KubernetesExecAuth>(context.access.auth);
  EXPECT_EQ(exec.command, "aws");
  EXPECT_THAT(exec.arguments, ElementsAre("eks", "get-token"));
  EXPECT_THAT(exec.environment, ElementsAre(Pair("AWS_PROFILE", "team")));
  EXPECT_TRUE(exec.provide_cluster_info);
  EXPECT_EQ(exec.install_hint, "install it");
  EXPECT_EQ(nlohmann::json::parse(exec.cluster_config),
            (nlohmann::json{{"audience", "x"}, {"n", 5}, {"yes", true}, {"text", "5"}}));
  const auto relative = ReadOk(
      kServer, "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin}}");
  EXPECT_EQ(std::get<providers::KubernetesExecAuth>(relative.access.auth).command,
            "/home/me/.kube/./plugin");
}

TEST(Kubeconfig, WhatIsNotBuiltInIsSaidWithItsPlace) {
  EXPECT_THAT(ErrorOf(kServer, "{auth-provider: {name: gcp}}"),
              AllOf(HasSubstr("kubeconfig /k:10:"), HasSubstr("auth-provider is not built in")));
  EXPECT_THAT(ErrorOf(kServer, "{username: me, password: planted}"),
              AllOf(HasSubstr("username is not built in"), Not(HasSubstr("planted"))));
  EXPECT_THAT(ErrorOf(kServer, "{token: t, as: admin}"), HasSubstr("as is not built in"));
  EXPECT_THAT(ErrorOf("{server: 'https://k', proxy-url: 'http://p'}", "{token: t}"),
              HasSubstr("HTTPS_PROXY"));
  EXPECT_THAT(ErrorOf("{}", "{token: t}"), HasSubstr("the cluster has no server"));
  EXPECT_THAT(ErrorOf(kServer, "{}"), HasSubstr("the user has no credential"));
  EXPECT_THAT(ErrorOf(kServer, "{exec: {apiVersion: x/v1alpha1, command: a}}"),
              HasSubstr("apiVersion is not built in"));
  EXPECT_THAT(ErrorOf(kServer,
                      "{exec: {apiVersion: client.authentication.k8s.io/v1, command: a, "
                      "interactiveMode: Always}}"),
              HasSubstr("wants a terminal"));
  EXPECT_THAT(ErrorOf(kServer, "{exec: {apiVersion: client.authentication.k8s.io/v1}}"),
              HasSubstr("no command"));
}

TEST(Kubeconfig, AContextIsChosenByNameAndMisspellingsAreTold) {
  const std::string text =
      "clusters: [{name: prod, cluster: {server: 'https://prod'}}, {name: test, cluster: {server: "
      "'https://test'}}]\n"
      "users: [{name: u, user: {token: t}}]\n"
      "contexts: [{name: prod, context: {cluster: prod, user: u}}, {name: test, context: {cluster: "
      "test, user: u}}, {name: broken, context: {cluster: test, user: nobody}}]\n";
  const auto test = ReadKubeconfig({Text("/k", text)}, "test");
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ(test->access.url, "https://test");
  EXPECT_THAT(ReadKubeconfig({Text("/k", text)}, "").status().ToString(),
              HasSubstr("no current-context"));
  EXPECT_THAT(ReadKubeconfig({Text("/k", text)}, "tset").status().ToString(),
              HasSubstr("did you mean 'test'"));
  EXPECT_THAT(ReadKubeconfig({Text("/k", text)}, "broken").status().ToString(),
              HasSubstr("there is no 'nobody' in users"));
}

TEST(Kubeconfig, SeveralFilesAreOneWhereTheFirstWins) {
  const auto context = ReadKubeconfig(
      {Text("/a/config", "current-context: x\nusers: [{name: u, user: {tokenFile: t}}]\n"),
       Text("/b/config",
            "current-context: y\nusers: [{name: u, user: {token: second}}]\n"
            "clusters: [{name: c, cluster: {server: 'https://c'}}]\n"
            "contexts: [{name: x, context: {cluster: c, user: u}}]\n")},
      "");
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(std::get<providers::KubernetesTokenAuth>(context->access.auth).token.file, "/a/t");
}

TEST(Kubeconfig, WhatIsNoKubeconfigIsSaid) {
  EXPECT_THAT(ReadKubeconfig({Text("/k", "a: [")}, "").status().ToString(), HasSubstr("/k:"));
  EXPECT_THAT(ReadKubeconfig({Text("/k", "")}, "x").status().ToString(),
              HasSubstr("there is no 'x' in contexts"));
  EXPECT_THAT(ReadKubeconfig({Text("/k", "a: 1\n---\nb: 2\n")}, "").status().ToString(),
              HasSubstr("several documents"));
}

}  // namespace
}  // namespace secretfs::k8s
