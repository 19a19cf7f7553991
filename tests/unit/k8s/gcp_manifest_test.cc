// Google Secret Manager in manifests: the gcpsm block and SecretProviderClass of the provider gcp.

#include <gmock/gmock.h>

#include <variant>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::GcpDefaultAuth;
using providers::GcpSecretRefAuth;
using providers::GcpStoreConfig;
using providers::GcpVersionSelection;
using providers::GcpWorkloadIdentityAuth;
using providers::GcpWorkloadIdentityFederationAuth;
using ::testing::AllOf;
using ::testing::HasSubstr;

// The gcpsm block as the only store of a secretfs.yaml.
std::string GcpYaml(const std::string& block) {
  std::string text = "stores:\n  s:\n    gcpsm:\n";
  for (size_t begin = 0; begin < block.size();) {
    const size_t end = std::min(block.find('\n', begin), block.size());
    text += "      " + block.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return text + "files:\n  - {path: a, key: db}\n";
}

GcpStoreConfig GcpStore(const std::string& block) {
  const Manifest manifest = ParseOk(GcpYaml(block));
  if (manifest.stores.empty()) return {};
  return std::get<GcpStoreConfig>(manifest.stores[0].provider);
}

TEST(GcpManifestTest, TheBlock) {
  const GcpStoreConfig store = GcpStore(R"(projectID: demo
location: europe-west3
secretVersionSelectionPolicy: LatestOrFetch
quotaProject: billing
endpoint: https://secrets.example
tls: {caFile: /ca.pem})");
  EXPECT_EQ(store.project_id, "demo");
  EXPECT_EQ(store.location, "europe-west3");
  EXPECT_EQ(store.secret_version_selection_policy, GcpVersionSelection::kLatestOrFetch);
  EXPECT_EQ(store.quota_project, "billing");
  EXPECT_EQ(store.endpoints.secret_manager, "https://secrets.example");
  EXPECT_EQ(store.tls.ca_file, "/ca.pem");
  EXPECT_TRUE(std::holds_alternative<GcpDefaultAuth>(store.auth));
  EXPECT_EQ(GcpStore("projectID: demo").secret_version_selection_policy,
            GcpVersionSelection::kLatestOrFail);
}

TEST(GcpManifestTest, WaysToAuthenticate) {
  auto store = GcpStore("projectID: p\nauth: {credentials: {file: /adc.json}}");
  EXPECT_EQ(std::get<GcpSecretRefAuth>(store.auth).secret_access_key.file, "/adc.json");
  store = GcpStore("projectID: p\nauth: {secretRef: {secretAccessKeySecretRef: {env: KEY}}}");
  EXPECT_EQ(std::get<GcpSecretRefAuth>(store.auth).secret_access_key.environment, "KEY");
  store = GcpStore(R"(projectID: p
auth:
  workloadIdentity:
    clusterProjectID: cp
    clusterLocation: cl
    clusterName: cn
    serviceAccountRef: {name: app}
    token: {file: /token}
    serviceAccount: app@p.iam.gserviceaccount.com)");
  const auto& gke = std::get<GcpWorkloadIdentityAuth>(store.auth);
  EXPECT_EQ(gke.cluster_project_id, "cp");
  EXPECT_EQ(gke.cluster_location, "cl");
  EXPECT_EQ(gke.cluster_name, "cn");
  EXPECT_EQ(gke.token.file, "/token");
  EXPECT_EQ(gke.service_account, "app@p.iam.gserviceaccount.com");
  store = GcpStore(R"(projectID: p
auth:
  workloadIdentityFederation:
    credConfig: {file: /config.json}
    audience: //iam.googleapis.com/x
    externalTokenEndpoint: https://issuer.example/token)");
  const auto& federation = std::get<GcpWorkloadIdentityFederationAuth>(store.auth);
  EXPECT_EQ(federation.cred_config.file, "/config.json");
  EXPECT_EQ(federation.audience, "//iam.googleapis.com/x");
  EXPECT_EQ(federation.external_token_endpoint, "https://issuer.example/token");
}

TEST(GcpManifestTest, SecretStoreWithAConfigMapGivenAlong) {
  const Manifest manifest = ParseOk(R"(
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: team, namespace: web}
spec:
  provider:
    gcpsm:
      projectID: demo
      auth:
        workloadIdentityFederation:
          credConfig: {name: federation, key: config.json}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: federation, namespace: web}
data: {config.json: '{"type": "external_account"}'}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app, namespace: web}
spec:
  secretStoreRef: {name: team}
  data: [{secretKey: password, remoteRef: {key: db, version: "3", property: password}}]
)");
  ASSERT_EQ(manifest.stores.size(), 1u);
  const auto& store = std::get<GcpStoreConfig>(manifest.stores[0].provider);
  const auto& auth = std::get<GcpWorkloadIdentityFederationAuth>(store.auth);
  ASSERT_NE(auth.cred_config.inline_value, nullptr);
  EXPECT_EQ(auth.cred_config.inline_value->ExposeAsText(), R"({"type": "external_account"})");
  ASSERT_EQ(manifest.files.size(), 1u);
  EXPECT_EQ(manifest.files[0].ref, (providers::SecretRef{"db", "3"}));
}

TEST(GcpManifestTest, ProblemsOfTheBlock) {
  const auto problems = [](const std::string& block) { return ProblemsOf(GcpYaml(block)); };
  EXPECT_THAT(problems("location: x"), HasSubstr("projectID"));
  EXPECT_THAT(problems("projectId: x"), HasSubstr("did you mean 'projectID'?"));
  EXPECT_THAT(problems("projectID: p\nsecretVersionSelectionPolicy: Latest"),
              HasSubstr("LatestOrFail"));
  EXPECT_THAT(problems("projectID: p\nendpoint: secrets.example"), HasSubstr("https://HOST"));
  EXPECT_THAT(problems("projectID: p\nauth: {credentials: planted}"),
              AllOf(HasSubstr("is not a reference"), ::testing::Not(HasSubstr("planted"))));
  EXPECT_THAT(problems("projectID: p\nauth: {workloadIdentityFederation: {token: {file: /t}}}"),
              HasSubstr("audience"));
  EXPECT_THAT(
      problems("projectID: p\nauth: {workloadIdentityFederation: {serviceAccountRef: {name: a}}}"),
      HasSubstr("projected service account token"));
  EXPECT_THAT(problems("projectID: p\nauth: {workloadIdentity: {serviceAccount: a}}"),
              HasSubstr("needs a token"));
}

std::string GcpClass(const std::string& secrets, const std::string& more = "") {
  return R"(
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: app}
spec:
  provider: gcp
  parameters:
)" + more +
         "    secrets: |\n" + secrets;
}

TEST(GcpManifestTest, SecretProviderClass) {
  const Manifest manifest = ParseOk(GcpClass(R"(
      - resourceName: projects/demo/secrets/db/versions/latest
        path: db/password
        mode: 0400
      - resourceName: "projects/demo/locations/europe-west3/secrets/api/versions/2"
        fileName: api.key
        extractJSONKey: key
      - resourceName: projects/demo/secrets/config/versions/live
        path: level
        extractYAMLKey: level
)",
                                             "    auth: pod-adc\n"));
  ASSERT_EQ(manifest.stores.size(), 1u);
  EXPECT_EQ(manifest.stores[0].name, "app");
  EXPECT_EQ(std::get<GcpStoreConfig>(manifest.stores[0].provider).project_id, "");
  ASSERT_EQ(manifest.files.size(), 3u);
  EXPECT_EQ(manifest.files[0].path, "db/password");
  EXPECT_EQ(manifest.files[0].ref, (providers::SecretRef{"projects/demo/secrets/db", "latest"}));
  EXPECT_EQ(manifest.files[0].mode, 0400u);
  EXPECT_EQ(manifest.files[1].path, "api.key");
  EXPECT_EQ(manifest.files[1].ref,
            (providers::SecretRef{"projects/demo/locations/europe-west3/secrets/api", "2"}));
  EXPECT_EQ(manifest.files[1].selection.property, "key");
  EXPECT_EQ(manifest.files[1].selection.language, providers::Language::kJsonKey);
  EXPECT_EQ(manifest.files[2].selection.language, providers::Language::kYamlKey);
}

TEST(GcpManifestTest, ProblemsOfAClass) {
  const auto problems = [](const std::string& secret) { return ProblemsOf(GcpClass(secret)); };
  EXPECT_THAT(problems("      - {resourceName: db, path: a}\n"), HasSubstr("no resource name"));
  EXPECT_THAT(problems("      - {resourceName: projects/p/secrets/db, path: a}\n"),
              HasSubstr("versions/VERSION"));
  EXPECT_THAT(
      problems("      - {resourceName: projects/p/locations/l/parameters/n/versions/1, path: a}\n"),
      HasSubstr("Parameter Manager"));
  EXPECT_THAT(problems("      - {resourceName: projects/p/secrets/db/versions/1}\n"),
              HasSubstr("lacks path"));
  EXPECT_THAT(problems("      - {resourceName: projects/p/secrets/db/versions/1, path: ../a}\n"),
              HasSubstr("'../a'"));
  EXPECT_THAT(problems("      - {resourceName: projects/p/secrets/db/versions/1, path: a, "
                       "extractJSONKey: a, extractYAMLKey: b}\n"),
              HasSubstr("extractYAMLKey"));
  EXPECT_THAT(
      ProblemsOf(GcpClass("      - {resourceName: projects/p/secrets/db/versions/1, path: a}\n",
                          "    auth: node-adc\n")),
      HasSubstr("pod-adc"));
}

}  // namespace
}  // namespace secretfs::k8s
