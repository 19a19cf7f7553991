// Azure Key Vault in manifests: the azurekv block, a SecretStore's, and SecretProviderClass of the
// provider azure.

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <variant>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::AzureClientCertificateAuth;
using providers::AzureClientSecretAuth;
using providers::AzureManagedIdentityAuth;
using providers::AzureStoreConfig;
using providers::AzureWorkloadIdentityAuth;
using providers::Decoding;
using providers::SecretRef;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Indented(const std::string& text, const std::string& by) {
  std::string result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    result += by + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return result;
}

// The azurekv block as the only store of a secretfs.yaml.
std::string AzureYaml(const std::string& block) {
  return "stores:\n  s:\n    azurekv:\n" + Indented(block, "      ") +
         "files:\n  - {path: a, key: db}\n";
}

AzureStoreConfig AzureStore(const std::string& block) {
  const Manifest manifest = ParseOk(AzureYaml("vaultUrl: https://team.vault.azure.net\n" + block));
  if (manifest.stores.empty()) return {};
  return std::get<AzureStoreConfig>(manifest.stores[0].provider);
}

TEST(AzureManifest, ServicePrincipals) {
  AzureStoreConfig store = AzureStore(R"(tenantId: tenant
authSecretRef:
  clientId: app
  clientSecret: {env: SECRET})");
  EXPECT_EQ(store.vault_url, "https://team.vault.azure.net");
  EXPECT_EQ(store.tenant_id.text, "tenant");
  EXPECT_FALSE(store.external_secrets_formats);
  const auto& secret = std::get<AzureClientSecretAuth>(store.auth);
  EXPECT_EQ(secret.client_id.text, "app");
  EXPECT_EQ(secret.client_secret.environment, "SECRET");

  store = AzureStore(R"(authType: ServicePrincipal
authSecretRef:
  clientId: {file: /client-id}
  tenantId: {file: /tenant-id}
  clientCertificate: {file: /client.pfx}
  certificatePassword: {file: /password}
  sendCertificateChain: true)");
  EXPECT_EQ(store.tenant_id.source.file, "/tenant-id");
  const auto& certificate = std::get<AzureClientCertificateAuth>(store.auth);
  EXPECT_EQ(certificate.client_id.source.file, "/client-id");
  EXPECT_EQ(certificate.client_certificate.file, "/client.pfx");
  EXPECT_EQ(certificate.password.file, "/password");
  EXPECT_TRUE(certificate.send_chain);
}

TEST(AzureManifest, OtherIdentities) {
  AzureStoreConfig store = AzureStore("authType: ManagedIdentity");
  EXPECT_EQ(std::get<AzureManagedIdentityAuth>(store.auth).client_id, "");
  store = AzureStore("authType: ManagedIdentity\nidentityId: app");
  EXPECT_EQ(std::get<AzureManagedIdentityAuth>(store.auth).client_id, "app");
  store = AzureStore("authType: ManagedIdentity\nidentityId: /subscriptions/s/x");
  EXPECT_EQ(std::get<AzureManagedIdentityAuth>(store.auth).resource_id, "/subscriptions/s/x");
  store = AzureStore("authType: WorkloadIdentity\nclientId: app\nfederatedToken: {file: /token}");
  EXPECT_EQ(std::get<AzureWorkloadIdentityAuth>(store.auth).client_id.text, "app");
  EXPECT_EQ(std::get<AzureWorkloadIdentityAuth>(store.auth).token.file, "/token");
  store = AzureStore("authType: WorkloadIdentity");
  EXPECT_TRUE(std::get<AzureWorkloadIdentityAuth>(store.auth).client_id.empty());
}

TEST(AzureManifest, CloudsAndAddresses) {
  AzureStoreConfig store = AzureStore(R"(authType: ManagedIdentity
environmentType: ChinaCloud
authorityHost: https://login.partner.microsoftonline.cn
resource: https://vault.azure.cn
verifyChallengeResource: false
tls: {caFile: /ca.pem})");
  EXPECT_EQ(store.environment_type, "ChinaCloud");
  EXPECT_EQ(store.authority_host, "https://login.partner.microsoftonline.cn");
  EXPECT_EQ(store.resource, "https://vault.azure.cn");
  EXPECT_FALSE(store.verify_challenge_resource);
  EXPECT_EQ(store.tls.ca_file, "/ca.pem");
  store = AzureStore(R"(authType: ManagedIdentity
environmentType: AzureStackCloud
customCloudConfig:
  activeDirectoryEndpoint: https://login.azurestack.test
  keyVaultEndpoint: https://vault.azurestack.test)");
  EXPECT_EQ(store.authority_host, "https://login.azurestack.test");
  EXPECT_EQ(store.resource, "https://vault.azurestack.test");
}

TEST(AzureManifest, ProblemsOfTheBlock) {
  EXPECT_THAT(ProblemsOf(AzureYaml("authType: ManagedIdentity")), HasSubstr("vaultUrl"));
  const auto problems = [](const std::string& block) {
    return ProblemsOf(AzureYaml("vaultUrl: https://v.vault.azure.net\n" + block));
  };
  EXPECT_THAT(problems(""), HasSubstr("lacks authSecretRef"));
  EXPECT_THAT(problems("authSecretRef: {clientSecret: {env: S}}"), HasSubstr("lacks clientId"));
  EXPECT_THAT(problems("authSecretRef: {clientId: a}"),
              HasSubstr("expected one of clientSecret or clientCertificate"));
  EXPECT_THAT(problems("authSecretRef: {clientId: a, clientSecret: planted}"),
              AllOf(HasSubstr("is not a reference"), Not(HasSubstr("planted"))));
  EXPECT_THAT(problems("authType: ManagedIdentity\nfederatedToken: {file: /t}"),
              HasSubstr("has no place with authType ManagedIdentity"));
  EXPECT_THAT(problems("authType: WorkloadIdentity\nidentityId: a"),
              HasSubstr("has no place with authType WorkloadIdentity"));
  EXPECT_THAT(problems("authType: Managed"), HasSubstr("ManagedIdentity"));
  EXPECT_THAT(problems("authType: ManagedIdentity\nenvironmentType: AzureStackCloud"),
              HasSubstr("expected customCloudConfig"));
  EXPECT_THAT(problems("authType: ManagedIdentity\nauthorityHost: http://login"),
              HasSubstr("expected https://HOST"));
  EXPECT_THAT(problems("authType: ManagedIdentity\nvaultUri: x"),
              HasSubstr("did you mean 'vaultUrl'"));
}

TEST(AzureManifest, ASecretStoreOfExternalSecrets) {
  const Manifest manifest = ParseOk(R"(apiVersion: v1
kind: Secret
metadata: {name: azure, namespace: team}
stringData: {id: app, secret: planted}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: s, namespace: team}
spec:
  provider:
    azurekv:
      tenantId: tenant
      vaultUrl: https://team.vault.azure.net
      authSecretRef:
        clientId: {name: azure, key: id}
        clientSecret: {name: azure, key: secret}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: e, namespace: team}
spec:
  secretStoreRef: {name: s}
  data:
    - {secretKey: www.crt, remoteRef: {key: cert/www}}
)");
  const auto& store = std::get<AzureStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_TRUE(store.external_secrets_formats);
  const auto& auth = std::get<AzureClientSecretAuth>(store.auth);
  EXPECT_EQ(auth.client_id.source.inline_value->ExposeAsText(), "app");
  EXPECT_EQ(auth.client_secret.inline_value->ExposeAsText(), "planted");
  EXPECT_EQ(manifest.files.at(0).ref, (SecretRef{"cert/www", ""}));
}

TEST(AzureManifest, EveryExampleOfThePageIsAManifest) {
  std::ifstream stream(SECRETFS_SOURCE_DIR "/docs/azure.md");
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  int examples = 0;
  for (size_t at = page.find("```yaml\n"); at != std::string::npos;
       at = page.find("```yaml\n", at)) {
    at += 8;
    std::string example = page.substr(at, page.find("```", at) - at);
    // Those of a store alone lack something to show.
    if (example.find("files:") == std::string::npos) example += "files: [{path: a, key: db}]\n";
    EXPECT_THAT(ParseOk(example).warnings, ::testing::IsEmpty()) << example;
    ++examples;
  }
  EXPECT_GE(examples, 5);
}

// Lines 1 to 6 of every class here; parameters go on with an indentation of four.
std::string AzureClass(const std::string& parameters) {
  return "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
         "kind: SecretProviderClass\n"
         "metadata: {name: app}\n"
         "spec:\n"
         "  provider: azure\n"
         "  parameters:\n" +
         Indented(parameters, "    ");
}

constexpr char kIdentity[] = "keyvaultName: team\ntenantId: tenant\nclientID: app\n";

std::string Objects(const std::string& object) {
  return "objects: |\n  array:\n    - |\n" + Indented(object, "      ");
}

TEST(AzureClass, EveryKindOfObject) {
  const Manifest manifest = ParseOk(AzureClass(std::string(kIdentity) + R"(objects: |
  array:
    - |
      objectName: db
      objectType: secret
      objectVersion: ""
    - |
      objectName: www
      objectType: secret
      objectAlias: tls/www.pfx
      objectFormat: PFX
      objectEncoding: base64
      objectVersion: 0123456789abcdef0123456789abcdef
      filePermission: 0600
    - |
      objectName: www
      objectAlias: www.pem
      objectType: cert
    - |
      objectName: signing
      objectType: key
      filePermission: "400"
)"));
  ASSERT_EQ(manifest.stores.size(), 1u);
  const auto& store = std::get<AzureStoreConfig>(manifest.stores[0].provider);
  EXPECT_EQ(store.vault_url, "https://team.vault.azure.net");
  EXPECT_EQ(store.tenant_id.text, "tenant");
  EXPECT_EQ(std::get<AzureWorkloadIdentityAuth>(store.auth).client_id.text, "app");
  ASSERT_EQ(manifest.files.size(), 4u);
  EXPECT_EQ(manifest.files[0].path, "db");
  EXPECT_EQ(manifest.files[0].ref, (SecretRef{"secret/db?format=auto", ""}));
  EXPECT_FALSE(manifest.files[0].mode.has_value());
  EXPECT_EQ(manifest.files[1].path, "tls/www.pfx");
  EXPECT_EQ(manifest.files[1].ref, (SecretRef{"secret/www", "0123456789abcdef0123456789abcdef"}));
  EXPECT_EQ(manifest.files[1].selection.decoding, Decoding::kBase64);
  EXPECT_EQ(manifest.files[1].mode, mode_t{0600});
  EXPECT_EQ(manifest.files[2].path, "www.pem");
  EXPECT_EQ(manifest.files[2].ref, (SecretRef{"cert/www", ""}));
  EXPECT_EQ(manifest.files[3].ref, (SecretRef{"key/signing", ""}));
  EXPECT_EQ(manifest.files[3].mode, mode_t{0400});
}

TEST(AzureClass, VersionHistory) {
  const Manifest manifest = ParseOk(AzureClass(
      std::string(kIdentity) +
      Objects("objectName: db\nobjectAlias: keys\nobjectType: secret\nobjectVersionHistory: 3")));
  std::vector<std::string> files;
  for (const ManifestFile& file : manifest.files)
    files.push_back(file.path + " " + file.ref.version);
  EXPECT_THAT(files, ElementsAre("keys/0 latest~0", "keys/1 latest~1", "keys/2 latest~2"));
  const Manifest pinned = ParseOk(AzureClass(
      std::string(kIdentity) +
      Objects("objectName: db\nobjectType: secret\nobjectVersion: v7\nobjectVersionHistory: 2")));
  EXPECT_EQ(pinned.files.at(1).ref.version, "v7~1");
  const Manifest single =
      ParseOk(AzureClass(std::string(kIdentity) +
                         Objects("objectName: db\nobjectType: secret\nobjectVersionHistory: 1")));
  EXPECT_EQ(single.files.at(0).path, "db");
}

TEST(AzureClass, IdentitiesAndClouds) {
  const std::string object = Objects("objectName: db\nobjectType: secret");
  Manifest manifest = ParseOk(AzureClass(R"(keyvaultName: team
tenantID: tenant
useVMManagedIdentity: "true"
userAssignedIdentityID: app
usePodIdentity: "false"
cloudName: AzureUSGovernmentCloud
)" + object));
  auto store = std::get<AzureStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(store.vault_url, "https://team.vault.usgovcloudapi.net");
  EXPECT_EQ(store.environment_type, "USGovernmentCloud");
  EXPECT_EQ(std::get<AzureManagedIdentityAuth>(store.auth).client_id, "app");
  manifest = ParseOk(AzureClass("keyvaultName: team\ntenantID: tenant\n" + object));
  store = std::get<AzureStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(std::get<AzureClientSecretAuth>(store.auth).client_secret.environment,
            "AZURE_CLIENT_SECRET");
  ASSERT_EQ(manifest.warnings.size(), 1u);
  EXPECT_THAT(manifest.warnings[0], HasSubstr("nodePublishSecretRef"));
}

TEST(AzureClass, ProblemsNameThePlaceInTheFile) {
  const auto problems = [](const std::string& object) {
    return ProblemsOf(AzureClass(std::string(kIdentity) + Objects(object)));
  };
  // "objectTyp" stands in line 14 of the file, in YAML in YAML.
  EXPECT_THAT(problems("objectName: db\nobjectTyp: secret"),
              AllOf(HasSubstr("m.yaml:14:11: spec.parameters.objects.array[0].objectTyp"),
                    HasSubstr("did you mean 'objectType'")));
  EXPECT_THAT(problems("objectName: db"), HasSubstr("objectType"));
  EXPECT_THAT(problems("objectName: db\nobjectType: cert\nobjectFormat: pfx"),
              HasSubstr("with objectType secret only"));
  EXPECT_THAT(problems("objectName: db\nobjectType: key\nobjectEncoding: hex"),
              HasSubstr("with objectType secret only"));
  EXPECT_THAT(problems("objectName: db\nobjectType: secret\nobjectFormat: p12"),
              HasSubstr("expected pem or pfx"));
  EXPECT_THAT(problems("objectName: db\nobjectType: secret\nobjectAlias: ../db"),
              HasSubstr("objectAlias"));
  EXPECT_THAT(problems("objectName: db\nobjectType: secret\nfilePermission: rw"),
              HasSubstr("expected octal digits"));
  EXPECT_THAT(ProblemsOf(AzureClass("keyvaultName: a\nclientID: x\n" + Objects("objectName: b"))),
              HasSubstr("expected 3 to 24 letters"));
  EXPECT_THAT(ProblemsOf(AzureClass(std::string(kIdentity) + "cloudName: Moon\n" +
                                    Objects("objectName: db\nobjectType: secret"))),
              HasSubstr("is no cloud"));
  EXPECT_THAT(ProblemsOf(AzureClass(std::string(kIdentity) +
                                    "objects: |\n  array:\n    - objectName: db\n")),
              HasSubstr("expected an object as text, after '- |'"));
  EXPECT_THAT(ProblemsOf(AzureClass(std::string(kIdentity) + "objects: |\n  array: []\n")),
              HasSubstr("empty list"));
}

}  // namespace
}  // namespace secretfs::k8s
