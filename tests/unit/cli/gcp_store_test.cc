// Google Secret Manager on the command line: URLs, references, and what comes from the environment.

#include "cli/stores/gcp_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/store_factory.h"
#include "cli/store_url.h"
#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

using providers::GcpDefaultAuth;
using providers::GcpStoreConfig;
using ::testing::HasSubstr;

std::string Error(std::string_view text) {
  const auto reference = ParseSecretReference(text);
  EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(MessageOf(reference.status()));
}

TEST(GcpUrlTest, NamesThePrefixOfAProject) {
  const auto path = [](std::string_view text) {
    const auto url = ParseStoreUrl(text);
    EXPECT_TRUE(url.ok()) << url.status();
    return url.ok() && url->scheme == StoreScheme::kGcp ? PrefixOf(*url) : "error";
  };
  EXPECT_EQ(path("gcp:demo"), "projects/demo/secrets");
  EXPECT_EQ(path("gcp:demo/"), "projects/demo/secrets");
  EXPECT_EQ(path("gcp:demo/app-"), "projects/demo/secrets/app-");
  EXPECT_EQ(path("gcp:projects/demo/locations/l/secrets"), "projects/demo/locations/l/secrets");
  EXPECT_FALSE(ParseStoreUrl("gcp:").ok());
  EXPECT_FALSE(ParseStoreUrl("gcp").ok());
  EXPECT_FALSE(ParseStoreUrl("gcp:demo/app#x").ok());
}

TEST(GcpUrlTest, NamesOneValue) {
  const auto reference = ParseSecretReference("gcp:demo/db#user.name?version=3");
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->ref, (providers::SecretRef{"projects/demo/secrets/db", "3"}));
  EXPECT_EQ(reference->property, "user.name");
  EXPECT_EQ(ParseSecretReference("gcp:projects/p/locations/l/secrets/db")->ref.key,
            "projects/p/locations/l/secrets/db");
  EXPECT_THAT(Error("gcp:demo"), HasSubstr("gcp:PROJECT/NAME"));
  EXPECT_THAT(Error("gcp:#x"), HasSubstr("gcp:PROJECT"));
}

TEST(GcpStoreTest, TakesWhatIsOpenFromTheEnvironment) {
  const GcpStoreConfig config =
      WithEnvironment({}, FakeEnvironment({{"GOOGLE_APPLICATION_CREDENTIALS", "/adc.json"},
                                           {"HOME", "/home/a"},
                                           {"GOOGLE_CLOUD_QUOTA_PROJECT", "billing"},
                                           {"GCE_METADATA_HOST", "127.0.0.1:80"}}));
  const auto& auth = std::get<GcpDefaultAuth>(config.auth);
  EXPECT_EQ(auth.credentials_file, "/adc.json");
  EXPECT_EQ(auth.well_known_file, "/home/a/.config/gcloud/application_default_credentials.json");
  EXPECT_EQ(config.quota_project, "billing");
  EXPECT_EQ(config.endpoints.metadata, "127.0.0.1:80");
  EXPECT_EQ(std::get<GcpDefaultAuth>(
                WithEnvironment({}, FakeEnvironment({{"CLOUDSDK_CONFIG", "/cloud"}})).auth)
                .well_known_file,
            "/cloud/application_default_credentials.json");
  // What the manifest says stays.
  GcpStoreConfig given;
  given.quota_project = "mine";
  given.auth = providers::GcpSecretRefAuth{};
  given = WithEnvironment(given, FakeEnvironment({{"GOOGLE_CLOUD_QUOTA_PROJECT", "billing"},
                                                  {"GOOGLE_APPLICATION_CREDENTIALS", "/a"}}));
  EXPECT_EQ(given.quota_project, "mine");
  EXPECT_TRUE(std::holds_alternative<providers::GcpSecretRefAuth>(given.auth));
}

TEST(GcpStoreTest, IdentitiesDifferInEverythingThatSaysWhoAsks) {
  std::vector<GcpStoreConfig> configs(9);
  configs[1].project_id = "a";
  configs[2].location = "a";
  configs[3].auth =
      providers::GcpSecretRefAuth{{.file = "/a", .environment = {}, .inline_value = {}}};
  configs[4].auth = GcpDefaultAuth{"/a", ""};
  providers::GcpWorkloadIdentityAuth gke;
  gke.service_account = "a";
  configs[5].auth = gke;
  providers::GcpWorkloadIdentityFederationAuth federation;
  configs[6].auth = federation;
  federation.audience = "a";
  configs[7].auth = federation;
  configs[8].quota_project = "a";
  std::vector<std::string> identities;
  for (const GcpStoreConfig& config : configs) identities.push_back(IdentityOf(config));
  std::sort(identities.begin(), identities.end());
  EXPECT_EQ(std::unique(identities.begin(), identities.end()), identities.end());
}

TEST(GcpStoreTest, VisitsEveryPath) {
  GcpStoreConfig config;
  config.tls.ca_file = "ca.pem";
  providers::GcpWorkloadIdentityFederationAuth federation;
  federation.cred_config.file = "config.json";
  federation.token.file = "token";
  config.auth = federation;
  std::vector<std::string> paths;
  VisitPaths(config, [&paths](std::string& path) {
    if (!path.empty()) paths.push_back(path);
  });
  EXPECT_THAT(paths, ::testing::UnorderedElementsAre("ca.pem", "config.json", "token"));
}

TEST(GcpStoreTest, KnowsTheFilesThatACredentialsFileNames) {
  char folder[] = "/tmp/secretfs-gcp-store.XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string file = std::string(folder) + "/config.json";
  std::ofstream(file) << R"({"type":"external_account","audience":"//a","subject_token_type":"t",
                             "credential_source":{"file":"/run/ci/token"}})";
  GcpStoreConfig config;
  providers::GcpSecretRefAuth auth;
  auth.secret_access_key.file = file;
  config.auth = auth;
  EXPECT_THAT(FilesOf(config, FakeEnvironment({})),
              ::testing::UnorderedElementsAre(file, "/run/ci/token"));
  std::ofstream(file) << "no credentials";
  EXPECT_THAT(FilesOf(config, FakeEnvironment({})), ::testing::UnorderedElementsAre(file));
  EXPECT_THAT(FilesOf(providers::GcpStoreConfig{},
                      FakeEnvironment({{"GOOGLE_APPLICATION_CREDENTIALS", "/missing.json"},
                                       {"CLOUDSDK_CONFIG", "/cloud"}})),
              ::testing::UnorderedElementsAre("/missing.json",
                                              "/cloud/application_default_credentials.json",
                                              "/sys/class/dmi/id/product_name"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace secretfs::cli
