// Which files a server may read: those of the stores that are mounted, and no others.

#include "cli/openable_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class OpenablePathsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "secretfs-openable-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(home_); }

  std::string Home(const std::string& name) const { return home_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(Home(name)).parent_path());
    std::ofstream(Home(name)) << text;
  }

  std::vector<std::string> PathsOf(providers::ProviderConfig provider,
                                   std::map<std::string, std::string> variables = {}) const {
    k8s::Manifest manifest;
    manifest.stores.push_back({.name = "store", .provider = std::move(provider)});
    k8s::ManifestBrowse tree;
    tree.store = "store";
    manifest.browse.push_back(std::move(tree));
    return PathsOf(manifest, std::move(variables));
  }
  std::vector<std::string> PathsOf(const k8s::Manifest& manifest,
                                   std::map<std::string, std::string> variables = {}) const {
    variables.emplace("HOME", home_);
    return OpenablePaths(manifest, FakeEnvironment(std::move(variables)));
  }

  std::string home_;
};

TEST_F(OpenablePathsTest, ALocalStoreIsItselfAndItsKey) {
  providers::LocalStoreConfig store;
  store.path = Home("store.sfs");
  EXPECT_THAT(PathsOf(store), UnorderedElementsAre(Home("store.sfs"), Home("store.sfs.key")));
  store.key.key_file = Home("keys/team");
  EXPECT_THAT(PathsOf(store), UnorderedElementsAre(Home("store.sfs"), Home("keys/team")));
  store.key = {};
  store.key.passphrase.file = Home("passphrase");
  EXPECT_THAT(PathsOf(store), UnorderedElementsAre(Home("store.sfs"), Home("passphrase")));
  store.key = {};
  store.key.systemd_credential = "key";
  EXPECT_THAT(PathsOf(store, {{"CREDENTIALS_DIRECTORY", "/run/credentials/unit"}}),
              UnorderedElementsAre(Home("store.sfs"), "/run/credentials/unit/key"));
}

TEST_F(OpenablePathsTest, OnlyOfStoresThatAreUsed) {
  k8s::Manifest manifest;
  for (const char* name : {"used", "other"}) {
    providers::LocalStoreConfig store;
    store.path = Home(name);
    store.key.key_file = Home("key");
    manifest.stores.push_back({.name = name, .provider = store});
  }
  manifest.files.emplace_back().store = "used";
  EXPECT_THAT(PathsOf(manifest), UnorderedElementsAre(Home("used"), Home("key")));
}

TEST_F(OpenablePathsTest, AVaultHasWhatItNames) {
  for (const char* other : {".aws/credentials", ".kube/config", ".ssh/id_rsa", ".vault-token"}) {
    Write(other, "x");
  }
  providers::VaultStoreConfig vault;
  vault.server = "https://vault.example:8200";
  providers::VaultTokenAuth token;
  token.token.file = Home("token");
  vault.auth = token;
  vault.tls.ca_file = "/etc/team/ca.pem";
  EXPECT_THAT(PathsOf(vault), UnorderedElementsAre(Home("token"), "/etc/team/ca.pem"));
  token.token = {};
  token.token.environment = "VAULT_TOKEN";
  vault.auth = token;
  vault.tls = {};
  EXPECT_THAT(PathsOf(vault), IsEmpty());
  vault.auth = providers::VaultKubernetesAuth{};
  EXPECT_THAT(PathsOf(vault),
              UnorderedElementsAre("/var/run/secrets/kubernetes.io/serviceaccount/token"));
}

TEST_F(OpenablePathsTest, AwsHasItsSharedFilesWhereTheyAreUsed) {
  providers::AwsStoreConfig aws;
  aws.region = "eu-central-1";
  EXPECT_THAT(PathsOf(aws), UnorderedElementsAre(Home(".aws/config"), Home(".aws/credentials")));
  EXPECT_THAT(PathsOf(aws, {{"AWS_CONFIG_FILE", "/c"},
                            {"AWS_SHARED_CREDENTIALS_FILE", "/s"},
                            {"AWS_WEB_IDENTITY_TOKEN_FILE", "/w"},
                            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t"},
                            {"AZURE_FEDERATED_TOKEN_FILE", "/azure"},
                            {"GOOGLE_APPLICATION_CREDENTIALS", "/google"},
                            {"KUBECONFIG", "/kube"}}),
              UnorderedElementsAre("/c", "/s", "/w", "/t"));
  providers::AwsStaticAuth keys;
  keys.access_key_id.file = Home("id");
  keys.secret_access_key.file = Home("secret");
  aws.auth = keys;
  EXPECT_THAT(PathsOf(aws), UnorderedElementsAre(Home("id"), Home("secret")));
  aws.region = "";  // may stand in the shared files
  EXPECT_THAT(PathsOf(aws), Contains(Home(".aws/config")));
}

TEST_F(OpenablePathsTest, TokensOfTheAwsProfileInUse) {
  Write(".aws/config",
        "[profile team]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = base\n"
        "[profile base]\nrole_arn = arn:aws:iam::1:role/b\nweb_identity_token_file = /base\n"
        "[profile other]\nrole_arn = arn:aws:iam::1:role/c\nweb_identity_token_file = /other\n");
  providers::AwsStoreConfig aws;
  aws.region = "eu-central-1";
  const auto paths = PathsOf(aws, {{"AWS_PROFILE", "team"}});
  EXPECT_THAT(paths, Contains("/base"));
  EXPECT_THAT(paths, Not(Contains("/other")));
}

TEST_F(OpenablePathsTest, AzureHasTheTokenOfTheEnvironment) {
  providers::AzureStoreConfig azure;
  azure.vault_url = "https://team.vault.azure.net";
  azure.auth = providers::AzureWorkloadIdentityAuth{};
  EXPECT_THAT(PathsOf(azure, {{"AZURE_FEDERATED_TOKEN_FILE", "/azure"}}),
              UnorderedElementsAre("/azure"));
  azure.auth = providers::AzureManagedIdentityAuth{};
  EXPECT_THAT(PathsOf(azure, {{"AZURE_FEDERATED_TOKEN_FILE", "/azure"}}), IsEmpty());
}

TEST_F(OpenablePathsTest, GoogleHasItsCredentialsFile) {
  providers::GcpStoreConfig gcp;
  EXPECT_THAT(PathsOf(gcp),
              UnorderedElementsAre(Home(".config/gcloud/application_default_credentials.json"),
                                   "/sys/class/dmi/id/product_name"));
}

TEST_F(OpenablePathsTest, KubernetesHasTheKubeconfigWhereItIsUsed) {
  Write(".kube/config", R"(
current-context: here
clusters: [{name: c, cluster: {server: "https://c.example", certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
)");
  providers::KubernetesStoreConfig kubernetes;
  EXPECT_THAT(PathsOf(kubernetes), UnorderedElementsAre(Home(".kube/config"), Home(".kube/ca.pem"),
                                                        Home(".kube/token")));
  kubernetes.server.url = "https://other.example";
  providers::KubernetesTokenAuth token;
  token.token.file = Home("token");
  kubernetes.server.auth = token;
  EXPECT_THAT(PathsOf(kubernetes), UnorderedElementsAre(Home("token")));
}

}  // namespace
}  // namespace secretfs::cli
