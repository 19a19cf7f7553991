// Reading and listing against the fake of Secret Manager, which Google's own client is run against
// in official_client_test.cc.

#include "base/status.h"
#include "base/text.h"
#include "tests/integration/gcp/gcp_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using providers::GcpVersionSelection;
using providers::Provider;
using Role = fakes::GcpSecretManager::Role;
using ::testing::HasSubstr;
using ::testing::Not;

using GcpValuesTest = GcpTest;

TEST_F(GcpValuesTest, ReadsTheNewestANumberOrAnAlias) {
  secrets().Put(kParent, "db", "one");
  secrets().Put(kParent, "db", "two");
  secrets().Put(kParent, "db", "three");
  secrets().SetAlias(kParent, "db", "live", "2");
  const auto provider = Make(Config());
  EXPECT_EQ(Value(*provider, "db"), "three");
  EXPECT_EQ(Value(*provider, "db", "latest"), "three");
  EXPECT_EQ(Value(*provider, "db", "1"), "one");
  EXPECT_EQ(Value(*provider, "db", "live"), "two");
  EXPECT_EQ(Value(*provider, "projects/demo/secrets/db/versions/1"), "one");
  EXPECT_EQ(Value(*provider, "projects/demo/secrets/db"), "three");
  EXPECT_EQ(Value(*provider, "d/db"), "three");  // as listed under a prefix
  EXPECT_THAT(Fetch(*provider, "db", "4"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "db", "old"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "missing"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "a/b"), HasCode(StatusCode::kInvalidArgument));
}

TEST_F(GcpValuesTest, ValuesAreBytes) {
  std::string binary;
  for (int i = 0; i < 1000; ++i) binary += static_cast<char>(i);
  const std::string large(64 << 10, 'x');
  secrets().Put(kParent, "binary", binary);
  secrets().Put(kParent, "large", large);
  secrets().Put(kParent, "larger", std::string(1 << 20, 'y'));
  secrets().Put(kParent, "empty", "");
  const auto provider = Make(Config());
  EXPECT_EQ(Value(*provider, "binary"), binary);
  EXPECT_EQ(Value(*provider, "large"), large);
  EXPECT_EQ(Value(*provider, "larger").size(), size_t{1} << 20);
  EXPECT_EQ(Value(*provider, "empty"), "");
}

TEST_F(GcpValuesTest, OneRequestARead) {
  secrets().Put(kParent, "db", "one");
  const auto provider = Make(Config());
  EXPECT_EQ(Value(*provider, "db"), "one");
  EXPECT_EQ(Value(*provider, "db"), "one");
  EXPECT_EQ(secrets().reads(), 2u);
  EXPECT_EQ(cloud_.server().request_count(), 3u);  // … and one login
}

TEST_F(GcpValuesTest, VersionsFollowTheContent) {
  secrets().Put(kParent, "db", "one");
  const auto provider = Make(Config());
  const auto version = [&] { return (*Fetch(*provider, "db"))->version; };
  const std::string first = version();
  EXPECT_THAT(first, ::testing::StartsWith("1@"));
  EXPECT_EQ(version(), first);
  secrets().Put(kParent, "db", "two");
  EXPECT_THAT(version(), ::testing::StartsWith("2@"));
  // Made anew under the same name, with the same number and another value.
  secrets().Delete(kParent, "db");
  secrets().Put(kParent, "db", "other");
  EXPECT_THAT(version(), ::testing::StartsWith("1@"));
  EXPECT_NE(version(), first);
}

TEST_F(GcpValuesTest, ADamagedValueIsAnOutageNotAValue) {
  secrets().Put(kParent, "db", "planted-value");
  const auto provider = Make(Config());
  secrets().Damage(1);
  const auto damaged = Fetch(*provider, "db");
  EXPECT_THAT(damaged, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(damaged.status().ToString(), HasSubstr("checksum"));
  EXPECT_THAT(damaged.status().ToString(), Not(HasSubstr("planted")));
  EXPECT_EQ(Value(*provider, "db"), "planted-value");
  secrets().LeaveOutChecksums();
  EXPECT_EQ(Value(*provider, "db"), "planted-value");
}

TEST_F(GcpValuesTest, DisabledAndDestroyedVersionsAreNotThere) {
  secrets().Put(kParent, "db", "one");
  secrets().Put(kParent, "db", "two");
  secrets().SetState(kParent, "db", "2", "DISABLED");
  const auto provider = Make(Config());
  const auto disabled = Fetch(*provider, "db");
  EXPECT_THAT(disabled, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(disabled.status().ToString(), HasSubstr("disabled"));
  secrets().SetState(kParent, "db", "2", "DESTROYED");
  EXPECT_THAT(Fetch(*provider, "db").status().ToString(), HasSubstr("destroyed"));
  EXPECT_EQ(Value(*provider, "db", "1"), "one");
}

TEST_F(GcpValuesTest, LatestOrFetchTakesTheNewestThatIsEnabled) {
  for (int i = 1; i <= 12; ++i) secrets().Put(kParent, "db", Format("value-{}", i));
  secrets().SetState(kParent, "db", "12", "DISABLED");
  secrets().SetState(kParent, "db", "11", "DESTROYED");
  secrets().SetPageLimit(3);
  auto config = Config();
  config.secret_version_selection_policy = GcpVersionSelection::kLatestOrFetch;
  const auto provider = Make(config);
  EXPECT_EQ(Value(*provider, "db"), "value-10");
  // A version that was asked for by name is the one that is wanted.
  EXPECT_THAT(Fetch(*provider, "db", "12"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "db", "latest"), HasCode(StatusCode::kNotFound));
  secrets().SetState(kParent, "db", "12", "ENABLED");
  EXPECT_EQ(Value(*provider, "db"), "value-12");
  for (int i = 1; i <= 12; ++i) secrets().SetState(kParent, "db", std::to_string(i), "DISABLED");
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "missing"), HasCode(StatusCode::kNotFound));
}

TEST_F(GcpValuesTest, RegionalSecretsAndOtherProjects) {
  secrets().Put("projects/demo/locations/europe-west3", "db", "regional");
  secrets().Put(kParent, "db", "global");
  secrets().Put("projects/other", "db", "other's");
  auto config = Config();
  config.location = "europe-west3";
  const auto regional = Make(config);
  EXPECT_EQ(Value(*regional, "db"), "regional");
  EXPECT_EQ(Value(*regional, "projects/demo/secrets/db"), "global");
  EXPECT_EQ(List(*regional), "1: db");
  const auto provider = Make(Config());
  EXPECT_EQ(Value(*provider, "db"), "global");
  EXPECT_EQ(Value(*provider, "projects/other/secrets/db"), "other's");
  EXPECT_EQ(Value(*provider, "projects/demo/locations/europe-west3/secrets/db/versions/1"),
            "regional");
  EXPECT_THAT(Fetch(*provider, "projects/demo/locations/us-east1/secrets/db"),
              HasCode(StatusCode::kNotFound));
}

TEST_F(GcpValuesTest, AStoreWithoutProjectTakesFullNames) {
  secrets().Put(kParent, "db", "one");
  auto config = Config();
  config.project_id.clear();
  const auto provider = Make(config);
  EXPECT_EQ(Value(*provider, "projects/demo/secrets/db"), "one");
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kInvalidArgument));
  EXPECT_EQ(List(*provider, "projects/demo/secrets"), "1: db");
  EXPECT_THAT(List(*provider), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_TRUE(CheckLogin(*provider).ok());
}

TEST_F(GcpValuesTest, ListsPagesOfNamesThatBeginWithThePrefix) {
  for (const char* name : {"app-cache", "app-db", "app-web", "my-app-db", "other", "zapp-"}) {
    secrets().Put(kParent, name, "x");
  }
  const auto provider = Make(Config());
  EXPECT_EQ(List(*provider), "1: app-cache, app-db, app-web, my-app-db, other, zapp-");
  EXPECT_EQ(List(*provider, "app-"), "1: app-cache, app-db, app-web");
  EXPECT_EQ(List(*provider, "projects/demo/secrets/app-"), "1: app-cache, app-db, app-web");
  secrets().SetPageLimit(2);
  EXPECT_EQ(List(*provider), "3: app-cache, app-db, app-web, my-app-db, other, zapp-");
  EXPECT_EQ(List(*provider, "app-"), "3: app-cache, app-db, app-web");
  secrets().SetPageLimit(100);
  EXPECT_THAT(List(*provider, "nothing"), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(List(*provider, "app-db/x"), HasSubstr("NOT_FOUND"));
  auto empty = Config();
  empty.project_id = "empty";
  EXPECT_EQ(List(*Make(empty)), "1: ");
}

TEST_F(GcpValuesTest, WhatIsDeniedIsDenied) {
  secrets().Put(kParent, "db", "one");
  secrets().Put(kParent, "root", "two");
  auto config = Config();
  secrets().Deny("root");
  const auto provider = Make(config);
  EXPECT_EQ(Value(*provider, "db"), "one");
  const auto denied = Fetch(*provider, "root");
  EXPECT_THAT(denied, HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(denied.status().ToString(), HasSubstr("IAM_PERMISSION_DENIED"));
  // Who may read only may not list, and is logged in all the same.
  secrets().SetRole(std::string("serviceAccount:") + kReader, Role::kAccessor);
  EXPECT_EQ(Value(*provider, "db"), "one");
  EXPECT_THAT(List(*provider), HasSubstr("PERMISSION_DENIED"));
  EXPECT_TRUE(CheckLogin(*provider).ok());
  secrets().SetRole(std::string("serviceAccount:") + kReader, Role::kNone);
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kPermissionDenied));
}

TEST_F(GcpValuesTest, ThrottlingSaysHowLongToWait) {
  secrets().Put(kParent, "db", "one");
  const auto provider = Make(Config());
  secrets().Throttle(1, 7);
  const auto throttled = Fetch(*provider, "db");
  EXPECT_THAT(throttled, HasCode(StatusCode::kResourceExhausted));
  EXPECT_EQ(RetryAfter(throttled.status()), std::chrono::seconds(7));
  secrets().Throttle(1, std::nullopt);
  const auto without = Fetch(*provider, "db");
  EXPECT_THAT(without, HasCode(StatusCode::kResourceExhausted));
  EXPECT_FALSE(RetryAfter(without.status()).has_value());
  EXPECT_EQ(Value(*provider, "db"), "one");
}

TEST_F(GcpValuesTest, WhereNoSecretManagerListensNothingIsMissing) {
  auto config = Config();
  config.endpoints.secret_manager = cloud_.url() + "/wrong";
  // Google's front end answers 404 with a page: the secret may be there all the same.
  const auto secret = Fetch(*Make(config), "db");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("404"));
}

}  // namespace
}  // namespace secretfs::testing
