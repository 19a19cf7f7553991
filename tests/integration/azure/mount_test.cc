// The real program, sandbox and all, over the fake of Azure: a secretfs.yaml and the
// SecretProviderClass of Azure's own provider as it is.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/integration/azure/azure_cloud.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class AzureMount : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (!IsSkipped()) cloud_ = std::make_unique<AzureCloud>();
  }
  void TearDown() override {
    MountedBinaryTest::TearDown();
    cloud_.reset();
  }
  AzureCloud& cloud() { return *cloud_; }
  std::string Store(const std::string& identity) const {
    return "stores:\n  team:\n    azurekv:\n      vaultUrl: https://team.vault.azure.net\n"
           "      tls: {caFile: " +
           cloud_->authority_file() + "}\n" + identity;
  }
  std::string Principal() {
    const auto secret = WriteFile("client-secret", kAzureReaderSecret);
    return Store(std::string("      tenantId: ") + kAzureTenant +
                 "\n      authSecretRef:\n        clientId: " + kAzureReader +
                 "\n        clientSecret: {file: " + secret.string() + "}\n");
  }

 private:
  std::unique_ptr<AzureCloud> cloud_;
};

TEST_F(AzureMount, CertificateAndKeyApartAndARotation) {
  const json made = cloud().Official("make_certificate", {{"subject", "www.test"}});
  cloud().Official("import_certificate", {{"name", "www"}, {"subject", "www.test"}});
  cloud().Official("set_secret", {{"name", "db"}, {"value", R"({"password": "planted-one"})"}});
  Mount(
      {"-f", WriteFile("secretfs.yaml",
                       Principal() +
                           "policy: {ttl: 500ms}\n"
                           "files:\n"
                           "  - {path: www.crt, key: 'secret/www?format=certificate'}\n"
                           "  - {path: www.key, key: 'secret/www?format=private-key', mode: 0400}\n"
                           "  - {path: password, key: db, property: password}\n"
                           "  - {path: nothing, key: nothing}\n")});
  EXPECT_EQ(ReadFile(mount_point() / "www.crt"), made["leaf"].get<std::string>() +
                                                     made["middle"].get<std::string>() +
                                                     made["root"].get<std::string>());
  EXPECT_THAT(ReadFile(mount_point() / "www.key"), StartsWith("-----BEGIN PRIVATE KEY-----\n"));
  struct stat attributes = {};
  ASSERT_EQ(stat((mount_point() / "www.key").c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 0777u, 0400u);
  EXPECT_FALSE(std::filesystem::exists(mount_point() / "nothing"));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "planted-one");
  cloud().Official("set_secret", {{"name", "db"}, {"value", R"({"password": "planted-two"})"}});
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == "planted-two"; }));
}

TEST_F(AzureMount, TheClassOfTheCsiProviderWithWorkloadIdentity) {
  const std::string application = "44444444-4444-4444-8444-444444444444";
  cloud().Control("applications", {{"tenant", kAzureTenant},
                                   {"client_id", application},
                                   {"subject", "system:serviceaccount:team:app"}});
  const auto token = WriteFile(
      "token",
      cloud().Control("federated-token", {{"subject", "system:serviceaccount:team:app"}})["token"]);
  for (const char* value : {"one", "two", "three"}) {
    cloud().Official("set_secret", {{"name", "db"}, {"value", value}});
    cloud().Control("settings", {{"advance", 2}});
  }
  cloud().Official("create_key", {{"name", "signing"}, {"kind", "RSA"}});
  // The provider's classes cannot name an authority: the system's are used. So the class is only
  // read here, and its objects are mounted from a store that differs in nothing else.
  const std::string objects = R"(    objects: |
      array:
        - |
          objectName: db
          objectType: secret
          objectVersionHistory: 2
        - |
          objectName: signing
          objectType: key
          objectAlias: keys/signing.pem
)";
  const auto manifest =
      WriteFile("class.yaml",
                "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
                "kind: SecretProviderClass\nmetadata: {name: app}\n"
                "spec:\n  provider: azure\n  parameters:\n"
                "    keyvaultName: team\n    tenantId: " +
                    std::string(kAzureTenant) + "\n    clientID: " + application + "\n" + objects);
  const ChildOptions environment = {
      .environment = {{"AZURE_FEDERATED_TOKEN_FILE", token.string()}}};
  const Finished checked = Secretfs({"check", "-f", manifest.string()}, environment);
  EXPECT_EQ(checked.exit_code, 0) << checked.errors;

  Mount({"-f", WriteFile("secretfs.yaml",
                         Store(std::string("      authType: WorkloadIdentity\n      tenantId: ") +
                               kAzureTenant + "\n      clientId: " + application + "\n") +
                             "files:\n"
                             "  - {path: db/0, key: 'secret/db?format=auto', version: latest~0}\n"
                             "  - {path: db/1, key: 'secret/db?format=auto', version: latest~1}\n"
                             "  - {path: keys/signing.pem, key: key/signing}\n")},
        environment);
  EXPECT_EQ(ReadFile(mount_point() / "db/0"), "three");
  EXPECT_EQ(ReadFile(mount_point() / "db/1"), "two");
  EXPECT_THAT(ReadFile(mount_point() / "keys/signing.pem"),
              StartsWith("-----BEGIN PUBLIC KEY-----\n"));
}

TEST_F(AzureMount, NothingOfASecretIsInWhatTheProgramSays) {
  cloud().Official("set_secret", {{"name", "db"}, {"value", "planted-value"}});
  const auto manifest = WriteFile(
      "secretfs.yaml", Principal() + "files:\n  - {path: db, key: db}\n  - {path: no, key: no}\n");
  const Finished online = Secretfs({"check", "--online", "-f", manifest.string()});
  EXPECT_THAT(online.output + online.errors, Not(HasSubstr("planted")));
  EXPECT_THAT(online.output + online.errors, HasSubstr("reading the secret 'no'"));
}

}  // namespace
}  // namespace secretfs::testing
