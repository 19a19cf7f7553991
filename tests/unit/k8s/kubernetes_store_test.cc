// The `kubernetes` block of a store.

#include <gmock/gmock.h>

#include <string>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Yaml(const std::string& block) {
  return "stores: {a: {kubernetes: " + block + "}}\nfiles: [{path: f, key: k, store: a}]\n";
}

providers::KubernetesStoreConfig StoreOf(const std::string& block) {
  const Manifest manifest = ParseOk(Yaml(block));
  if (manifest.stores.size() != 1) return {};
  return std::get<providers::KubernetesStoreConfig>(manifest.stores[0].provider);
}

TEST(KubernetesStore, EverythingMayBeLeftOut) {
  const auto store = StoreOf("{}");
  EXPECT_EQ(store.server.url, "");
  EXPECT_EQ(store.remote_namespace, "default");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(store.server.auth));
  EXPECT_TRUE(store.kubeconfig.empty());
}

TEST(KubernetesStore, ServerNamespaceAndToken) {
  const auto store = StoreOf(
      "{server: {url: 'https://k:6443', caFile: /ca, serverName: api}, remoteNamespace: team, "
      "auth: {token: {bearerToken: {file: /token}}}}");
  EXPECT_EQ(store.server.url, "https://k:6443");
  EXPECT_EQ(store.server.tls.ca_file, "/ca");
  EXPECT_EQ(store.server.tls.server_name, "api");
  EXPECT_EQ(store.remote_namespace, "team");
  EXPECT_EQ(std::get<providers::KubernetesTokenAuth>(store.server.auth).token.file, "/token");
  const auto environment = StoreOf("{auth: {token: {env: TOKEN}}}");
  EXPECT_EQ(std::get<providers::KubernetesTokenAuth>(environment.server.auth).token.environment,
            "TOKEN");
  EXPECT_EQ(StoreOf("{server: {url: kubernetes.default}}").server.url,
            "https://kubernetes.default");
}

TEST(KubernetesStore, ExternalSecretsManifestsAreTakenAsTheyAre) {
  const Manifest manifest = ParseOk(
      {{"store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: team, namespace: "
        "apps}\nspec:\n  provider:\n    kubernetes:\n      remoteNamespace: team\n      server:\n"
        "        url: https://k:6443\n        caProvider: {type: ConfigMap, name: root, key: "
        "ca.crt}\n      auth:\n        serviceAccount: {name: reader, audiences: [api]}\n"},
       {"more.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: root, namespace: apps}\ndata: {ca.crt: "
        "PEM}\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: e, "
        "namespace: apps}\nspec: {secretStoreRef: {name: team}, data: [{secretKey: f, remoteRef: "
        "{key: db, property: password}}]}\n"}});
  ASSERT_EQ(manifest.stores.size(), 1u);
  const auto& store = std::get<providers::KubernetesStoreConfig>(manifest.stores[0].provider);
  EXPECT_EQ(store.server.tls.ca_bundle, "PEM");
  ASSERT_TRUE(store.service_account.has_value());
  EXPECT_EQ(store.service_account->name, "reader");
  EXPECT_EQ(store.service_account->name_space, "apps");
  EXPECT_THAT(store.service_account->audiences, ElementsAre("api"));
}

TEST(KubernetesStore, ClientCertificates) {
  const auto files = StoreOf("{auth: {cert: {clientCert: {file: /c}, clientKey: {file: /k}}}}");
  EXPECT_EQ(files.server.tls.client_certificate_file, "/c");
  EXPECT_EQ(files.server.tls.client_key_file, "/k");
  EXPECT_TRUE(std::holds_alternative<providers::KubernetesCertificateAuth>(files.server.auth));
  EXPECT_THAT(ProblemsOf(Yaml("{auth: {cert: {clientCert: {file: /c}, clientKey: {env: K}}}}")),
              HasSubstr("cannot come from an environment variable"));
  EXPECT_THAT(ProblemsOf(Yaml("{auth: {cert: {clientCert: {file: /c}}}}")),
              HasSubstr("auth.cert.clientKey"));
}

TEST(KubernetesStore, Kubeconfigs) {
  const auto store = StoreOf("{kubeconfig: /k, context: test}");
  EXPECT_EQ(store.kubeconfig.file, "/k");
  EXPECT_EQ(store.context, "test");
  EXPECT_THAT(ProblemsOf(Yaml("{context: test}")), HasSubstr("expected kubeconfig beside it"));
  EXPECT_THAT(ProblemsOf(Yaml("{authRef: {name: n, key: k}}")), HasSubstr("authRef"));
}

TEST(KubernetesStore, ProblemsNameTheField) {
  EXPECT_THAT(ProblemsOf(Yaml("{server: {url: 'ftp://k'}}")),
              HasSubstr("stores.a.kubernetes.server.url"));
  EXPECT_THAT(ProblemsOf(Yaml("{remoteNamspace: x}")), HasSubstr("remoteNamespace"));
  EXPECT_THAT(ProblemsOf(Yaml("{auth: {token: planted}}")), HasSubstr("is not a reference"));
  EXPECT_THAT(ProblemsOf(Yaml("{auth: {token: {env: A}, serviceAccount: {name: n}}}")),
              HasSubstr("only one of"));
  EXPECT_THAT(ProblemsOf(Yaml("{auth: {serviceAccount: {}}}")), HasSubstr("serviceAccount.name"));
}

}  // namespace
}  // namespace secretfs::k8s
