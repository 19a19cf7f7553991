// SecretProviderClass manifests as they are used in clusters.

#include <gmock/gmock.h>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::VaultKubernetesAuth;
using providers::VaultStoreConfig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Lines 1 to 8 of every class here; parameters go on with an indentation of four.
std::string VaultClass(const std::string& parameters) {
  return "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
         "kind: SecretProviderClass\n"
         "metadata:\n"
         "  name: app\n"
         "  labels: {team: a}\n"
         "spec:\n"
         "  provider: vault\n"
         "  parameters:\n" +
         parameters;
}

constexpr char kObject[] =
    "    objects: |\n"
    "      - objectName: password\n"
    "        secretPath: secret/data/db\n"
    "        secretKey: password\n";

TEST(SecretProviderClass, EveryParameter) {
  const Manifest manifest = ParseOk(VaultClass(R"(    roleName: app
    vaultAddress: https://vault.vault:8200
    vaultNamespace: team
    vaultAuthMountPath: cluster-1
    vaultSkipTLSVerify: "false"
    vaultCACertPath: /ca.pem
    vaultCADirectory: /certs
    vaultTLSServerName: vault.internal
    vaultTLSClientCertPath: /c.pem
    vaultTLSClientKeyPath: /c.key
    audience: vault
    objects: |
      - objectName: "password"
        secretPath: "/v1/secret/data/db?version=2"
        secretKey: "password"
        filePermission: 0440
        encoding: base64
        method: GET
      - objectName: all.json
        secretPath: v1/kv/app/
)") + "  secretObjects:\n    - secretName: s\n      type: Opaque\n");
  ASSERT_EQ(manifest.stores.size(), 1u);
  EXPECT_EQ(manifest.stores[0].name, "app");
  const auto& vault = std::get<VaultStoreConfig>(manifest.stores[0].provider);
  EXPECT_EQ(vault.server, "https://vault.vault:8200");
  EXPECT_EQ(vault.name_space, "team");
  EXPECT_EQ(vault.path, "");
  EXPECT_EQ(vault.version, "");
  EXPECT_EQ(vault.tls.ca_file, "/ca.pem");
  EXPECT_EQ(vault.tls.ca_directory, "/certs");
  EXPECT_EQ(vault.tls.server_name, "vault.internal");
  EXPECT_EQ(vault.tls.client_certificate_file, "/c.pem");
  EXPECT_EQ(vault.tls.client_key_file, "/c.key");
  EXPECT_FALSE(vault.tls.skip_verify);
  const auto& auth = std::get<VaultKubernetesAuth>(vault.auth);
  EXPECT_EQ(auth.role, "app");
  EXPECT_EQ(auth.mount_path, "cluster-1");
  EXPECT_TRUE(auth.jwt.empty());

  ASSERT_EQ(manifest.files.size(), 2u);
  const ManifestFile& file = manifest.files[0];
  EXPECT_EQ(file.path, "password");
  EXPECT_EQ(file.store, "app");
  EXPECT_EQ(file.ref, (providers::SecretRef{"secret/data/db", "2"}));
  EXPECT_EQ(file.selection, (providers::Selection{"password", providers::Decoding::kBase64,
                                                  providers::Encoding::kUtf8}));
  EXPECT_EQ(file.mode, mode_t{0440});
  EXPECT_EQ(file.origin, "m.yaml:21");
  EXPECT_EQ(manifest.files[1].ref, (providers::SecretRef{"kv/app", ""}));
  EXPECT_EQ(manifest.files[1].selection.property, "");
  EXPECT_EQ(manifest.files[1].mode, std::nullopt);

  EXPECT_EQ(manifest.layout, fs::Layout::kAtomic);
  EXPECT_EQ(manifest.file_mode, mode_t{0644});
  EXPECT_EQ(manifest.directory_mode, mode_t{0755});
  EXPECT_THAT(
      manifest.warnings,
      ElementsAre(
          "m.yaml:19:5: spec.parameters.audience: has no effect: the token is taken from a file, "
          "whose audience is already set",
          "m.yaml:27:9: spec.parameters.objects[1]: has no secretKey: its file holds the secret's "
          "fields as JSON, without the lease and metadata that HashiCorp's provider adds around "
          "them",
          "m.yaml:29:3: spec.secretObjects: has no effect on a mount: no Kubernetes Secret is "
          "written"));
}

TEST(SecretProviderClass, EncodingIsHowTheValueIsStored) {
  for (const auto& [word, decoding] : {std::pair{"utf-8", providers::Decoding::kNone},
                                       {"base64", providers::Decoding::kBase64},
                                       {"hex", providers::Decoding::kHex}}) {
    const Manifest manifest = ParseOk(VaultClass(std::string("    roleName: app\n") + kObject +
                                                 "        encoding: " + word + "\n"));
    EXPECT_EQ(manifest.files.at(0).selection,
              (providers::Selection{.property = "password", .decoding = decoding}));
  }
}

TEST(SecretProviderClass, TheOlderVersionAndWithoutAnAddress) {
  std::string text = VaultClass(std::string("    roleName: app\n") + kObject);
  text.replace(text.find("/v1"), 3, "/v1alpha1");
  const Manifest manifest = ParseOk(text);
  EXPECT_EQ(std::get<VaultStoreConfig>(manifest.stores.at(0).provider).server, "");
}

TEST(SecretProviderClass, OurFileChangesTheMount) {
  const Manifest manifest =
      ParseOk({{"class.yaml", VaultClass(std::string("    roleName: app\n") + kObject)},
               {"ours.yaml", "mount: {layout: flat, mode: 0400}\npolicy: {ttl: 10s}\n"}});
  EXPECT_EQ(manifest.layout, fs::Layout::kFlat);
  EXPECT_EQ(manifest.file_mode, mode_t{0400});
  EXPECT_EQ(manifest.files.at(0).policy.ttl, std::chrono::seconds(10));
}

TEST(SecretProviderClass, PositionsInsideTheObjectsAreTheFiles) {
  EXPECT_EQ(
      ProblemsOf(VaultClass("    roleName: app\n"
                            "    objects: |\n"
                            "      # a comment\n"
                            "\n"
                            "      - objectName: ../up\n"
                            "        secretPaht: x\n")),
      "m.yaml:13:9: spec.parameters.objects[0].objectName: '../up' leads out of the mount; "
      "expected "
      "a path without '..'\n"
      "m.yaml:13:9: spec.parameters.objects[0].secretPath: missing; expected this field\n"
      "m.yaml:14:9: spec.parameters.objects[0].secretPaht: unknown field; expected objectName, "
      "secretPath, secretKey, method, secretArgs, filePermission or encoding; did you mean "
      "'secretPath'?");
  EXPECT_EQ(ProblemsOf(VaultClass("    roleName: app\n    objects: |\n      - [\n")),
            "m.yaml:12:7: spec.parameters.objects: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(
      ProblemsOf(VaultClass("    roleName: app\n"
                            "    objects: |\n"
                            "      - objectName: a\n"
                            "        objectName: b\n"
                            "        secretPath: c\n")),
      "m.yaml:12:9: spec.parameters.objects[0].objectName: stands twice; expected each field once");
}

TEST(SecretProviderClass, ObjectsInOneLine) {
  const std::string parameters = "    roleName: app\n    objects: '";
  EXPECT_EQ(ParseOk(VaultClass(parameters +
                               R"([{"objectName": "a", "secretPath": "b", "secretKey": "c"}]')"))
                .files.size(),
            1u);
  EXPECT_EQ(ProblemsOf(VaultClass(parameters + R"([{"objectName": "a"}]')")),
            "m.yaml:10:14: spec.parameters.objects[0].secretPath: missing; expected this field");
}

struct BadClass {
  std::string parameters, problem;
};

TEST(SecretProviderClass, WhatIsRefused) {
  const std::string role = "    roleName: app\n";
  const std::vector<BadClass> table{
      {kObject, "m.yaml:8:3: spec.parameters.roleName: missing; expected this field"},
      {role, "m.yaml:8:3: spec.parameters.objects: missing; expected this field"},
      {role + "    objects: ''\n",
       "m.yaml:10:5: spec.parameters.objects: is empty or more than one document; expected one "
       "list of "
       "objects"},
      {role + "    objects: '[]'\n",
       "m.yaml:10:5: spec.parameters.objects: is an empty list; expected at least one object"},
      {role + "    objects: [{objectName: a}]\n",
       "m.yaml:10:5: spec.parameters.objects: is no text; expected a list as text, after 'objects: "
       "|'"},
      {role + "    vaultAdress: x\n" + kObject,
       "m.yaml:10:5: spec.parameters.vaultAdress: unknown field; expected roleName, vaultAddress, "
       "vaultNamespace, vaultAuthMountPath, vaultKubernetesMountPath, audience, "
       "vaultSkipTLSVerify, "
       "vaultCACertPath, vaultCADirectory, vaultTLSServerName, vaultTLSClientCertPath, "
       "vaultTLSClientKeyPath or objects; did you mean 'vaultAddress'?"},
      {role + "    vaultAuthMountPath: a\n    vaultKubernetesMountPath: b\n" + kObject,
       "m.yaml:11:5: spec.parameters.vaultKubernetesMountPath: stands beside vaultAuthMountPath; "
       "expected "
       "only one of vaultAuthMountPath or vaultKubernetesMountPath"},
      {role + "    vaultSkipTLSVerify: 'perhaps'\n" + kObject,
       "m.yaml:10:5: spec.parameters.vaultSkipTLSVerify: 'perhaps' is not a boolean; expected true "
       "or "
       "false"},
      {role + kObject + "        method: PUT\n",
       "m.yaml:14:9: spec.parameters.objects[0].method: the method 'PUT' is not built into this "
       "version; "
       "expected GET"},
      {role + kObject + "        secretArgs: {ttl: 1h}\n",
       "m.yaml:14:9: spec.parameters.objects[0].secretArgs: arguments for writing requests are not "
       "built "
       "into this version; expected none"},
      {role + kObject + "        encoding: rot13\n",
       "m.yaml:14:9: spec.parameters.objects[0].encoding: 'rot13' is not known here; "
       "expected utf-8, base64 or hex"},
      {role + kObject + "        filePermission: 600\n",
       "m.yaml:14:9: spec.parameters.objects[0].filePermission: '600' is a decimal number (octal "
       "01130); "
       "expected octal digits up to 0777, such as 0400; did you mean 0600?"},
      {role + kObject + "      - {objectName: password, secretPath: x, secretKey: y}\n",
       "m.yaml:14:10: spec.parameters.objects[1].objectName: 'password' stands twice, first at "
       "m.yaml:11; "
       "expected each path once"},
      {role + kObject + "      - {objectName: a, secretPath: 'x?list=true', secretKey: y}\n",
       "m.yaml:14:25: spec.parameters.objects[1].secretPath: the query 'list=true' is not built "
       "into this "
       "version; expected version=N only"},
      {role + kObject + "      - {objectName: ..data, secretPath: x, secretKey: y}\n",
       "m.yaml:14:10: spec.parameters.objects[1].objectName: '..data' has a name that starts with "
       "'..', which is kept for ..data; expected another name"},
  };
  for (const BadClass& bad : table) EXPECT_EQ(ProblemsOf(VaultClass(bad.parameters)), bad.problem);
}

TEST(SecretProviderClass, DecimalModesMeanWhatTheyMeanInKubernetes) {
  const auto with_mode = [](const std::string& mode) {
    return ParseOk(VaultClass(std::string("    roleName: app\n") + kObject +
                              "        filePermission: " + mode));
  };
  EXPECT_EQ(with_mode("288").files.at(0).mode, mode_t{0440});
  EXPECT_EQ(with_mode("\"0400\"").files.at(0).mode, mode_t{0400});
  const Manifest doubtful = with_mode("400");
  EXPECT_EQ(doubtful.files.at(0).mode, mode_t{0620});
  EXPECT_THAT(
      doubtful.warnings,
      ElementsAre("m.yaml:14:9: spec.parameters.objects[0].filePermission: is the decimal number "
                  "400, mode 00620; was 0400 meant?"));
}

TEST(SecretProviderClass, ProvidersAreKnownByName) {
  std::string text = VaultClass("    a: b\n");
  text.replace(text.find("vault"), 5, "valut");
  EXPECT_EQ(ProblemsOf(text),
            "m.yaml:7:3: spec.provider: 'valut' is not known here; expected vault, aws, azure or "
            "gcp; did "
            "you mean 'vault'?");
}

TEST(SecretProviderClass, OtherKindsAndVersions) {
  EXPECT_EQ(ProblemsOf("apiVersion: apps/v1\nkind: Deployment\n"),
            "m.yaml:2:1: kind: 'Deployment' is not known here; expected SecretProviderClass, "
            "SecretStore, "
            "ClusterSecretStore, ExternalSecret, Secret, ConfigMap or List");
  EXPECT_EQ(
      ProblemsOf("kind: SecretProviderClas\n"),
      "m.yaml:1:1: kind: 'SecretProviderClas' is not known here; expected SecretProviderClass, "
      "SecretStore, ClusterSecretStore, ExternalSecret, Secret, ConfigMap or List; did you mean "
      "'SecretProviderClass'?");
  EXPECT_EQ(ProblemsOf("kind: Secret\nmetadata: {name: a}\n"),
            "m.yaml:1:1: lacks apiVersion; expected v1");
  EXPECT_THAT(
      ProblemsOf("apiVersion: external-secrets.io/v1alpha1\nkind: SecretStore\n"),
      HasSubstr(
          "m.yaml:1:1: apiVersion: 'external-secrets.io/v1alpha1' is not known here; expected "
          "external-secrets.io/v1 or external-secrets.io/v1beta1"));
}

}  // namespace
}  // namespace secretfs::k8s
