// Reading and listing AWS Secrets Manager as moto has it, written by AWS's own SDK.

#include <string>

#include "base/text.h"
#include "tests/integration/aws/aws_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using providers::AwsService;
using providers::SecretRef;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class AwsSecrets : public AwsTest {};

TEST_F(AwsSecrets, TextWithVersionAndTime) {
  const std::string version = Create("text/db", "läßt \"sich\" lesen\n");
  const auto provider = Secrets();
  const Result secret = Fetch(*provider, "text/db");
  EXPECT_EQ(Text(secret), "läßt \"sich\" lesen\n");
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ((*secret)->version, version);
  ASSERT_TRUE((*secret)->changed_at.has_value());
  EXPECT_LT(clock_.WallNow() - *(*secret)->changed_at, std::chrono::minutes(1));
  EXPECT_TRUE((*secret)->fields.empty());
  EXPECT_EQ(moto().Actions(), "GetSecretValue");
}

TEST_F(AwsSecrets, BinaryValuesAreTheirBytes) {
  std::string bytes;
  for (int byte = 255; byte >= 0; --byte) bytes += static_cast<char>(byte);
  moto().Call("secretsmanager", "create_secret",
              {{"Name", "binary"}, {"SecretBinary", {{"base64", ToBase64(bytes)}}}});
  EXPECT_EQ(Text(Fetch(*Secrets(), "binary")), bytes);
  EXPECT_EQ(Text(FetchAll(*Secrets(), {{"binary", ""}, {"binary/none", ""}})[0]), bytes);
}

TEST_F(AwsSecrets, VersionsByIdAndStage) {
  const std::string first = Create("versions", "one");
  const std::string second = Update("versions", "two");
  const auto provider = Secrets();
  EXPECT_EQ(Text(Fetch(*provider, "versions")), "two");
  EXPECT_EQ(Text(Fetch(*provider, "versions", first)), "one");
  EXPECT_EQ(Text(Fetch(*provider, "versions", "uuid/" + first)), "one");
  EXPECT_EQ(Text(Fetch(*provider, "versions", second)), "two");
  EXPECT_EQ(Text(Fetch(*provider, "versions", "AWSPREVIOUS")), "one");
  EXPECT_EQ(Text(Fetch(*provider, "versions", "AWSCURRENT")), "two");
  EXPECT_THAT(Fetch(*provider, "versions", "NOSUCHSTAGE"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "versions", "uuid/00000000-0000-0000-0000-000000000000"),
              HasCode(StatusCode::kNotFound));
}

TEST_F(AwsSecrets, ByArnAndByArnWithoutItsRandomEnd) {
  const std::string arn = moto().Call("secretsmanager", "create_secret",
                                      {{"Name", "by/arn"}, {"SecretString", "x"}})["ARN"];
  auto config = Config(AwsService::kSecretsManager);
  config.prefix = "prefixes/do/not/apply/";
  const auto provider = Make(config);
  EXPECT_EQ(Text(Fetch(*provider, arn)), "x");
  const auto both = FetchAll(*provider, {{arn, ""}, {arn.substr(0, arn.size() - 7), ""}});
  EXPECT_EQ(Text(both[0]), "x");
  EXPECT_EQ(Text(both[1]), "x");
}

TEST_F(AwsSecrets, TwentyTogetherAreOneRequest) {
  std::vector<SecretRef> refs;
  for (int i = 0; i < 20; ++i) {
    refs.push_back({Format("batch/{:02}", i), ""});
    Create(refs.back().key, Format("value {}", i));
  }
  const auto provider = Secrets();
  EXPECT_EQ(provider->capabilities().batch_size, 20u);
  const auto results = FetchAll(*provider, refs);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Text(results[i]), Format("value {}", i));
  EXPECT_EQ(moto().Actions(), "BatchGetSecretValue");
}

TEST_F(AwsSecrets, OneOfABatchFailsAlone) {
  Create("mixed/good", "good");
  const std::string old = Create("mixed/old", "old");
  Update("mixed/old", "new");
  Create("mixed/denied", "hidden-value");
  Create("mixed/deleted", "gone");
  moto().Deny("mixed/denied");
  moto().Call("secretsmanager", "delete_secret", {{"SecretId", "mixed/deleted"}});
  const auto results = FetchAll(*Secrets(), {{"mixed/good", ""},
                                             {"mixed/missing", ""},
                                             {"mixed/denied", ""},
                                             {"mixed/deleted", ""},
                                             {"mixed/old", old},
                                             {"mixed/good", ""}});
  EXPECT_EQ(Text(results[0]), "good");
  EXPECT_THAT(results[1], HasCode(StatusCode::kNotFound));
  EXPECT_THAT(results[2], HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(results[2].status().ToString(),
              AllOf(HasSubstr("mixed/denied"), HasSubstr("AccessDeniedException"),
                    Not(HasSubstr("hidden-value"))));
  EXPECT_THAT(results[3], HasCode(StatusCode::kNotFound));
  EXPECT_EQ(Text(results[4]), "old");
  EXPECT_EQ(Text(results[5]), "good");
}

TEST_F(AwsSecrets, ASecretThatWaitsForItsDeletionIsNotFound) {
  Create("deleted", "x");
  moto().Call("secretsmanager", "delete_secret", {{"SecretId", "deleted"}});
  const Result result = Fetch(*Secrets(), "deleted");
  EXPECT_THAT(result, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(result.status().ToString(), HasSubstr("marked for deletion"));
}

TEST_F(AwsSecrets, ARefreshOfOneIsADescriptionUntilItChanges) {
  Create("refresh", "one");
  const auto provider = Secrets();
  const Result first = Fetch(*provider, "refresh");
  EXPECT_EQ(Text(first), "one");
  const Result same = Fetch(*provider, "refresh");
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->get(), first->get());
  EXPECT_EQ(moto().Actions(), "GetSecretValue, DescribeSecret");
  Update("refresh", "two");
  EXPECT_EQ(Text(Fetch(*provider, "refresh")), "two");
  EXPECT_EQ(moto().Actions(), "DescribeSecret, GetSecretValue");
  // Nobody has the values any more: there is nothing to compare with.
  const Result held = Fetch(*provider, "refresh", "AWSPREVIOUS");
  EXPECT_EQ(Text(held), "one");
  EXPECT_EQ(Text(Fetch(*provider, "refresh")), "two");
  EXPECT_EQ(moto().Actions(), "GetSecretValue, GetSecretValue");
  moto().Call("secretsmanager", "delete_secret", {{"SecretId", "refresh"}});
  EXPECT_THAT(Fetch(*provider, "refresh", "AWSPREVIOUS"), HasCode(StatusCode::kNotFound));
}

TEST_F(AwsSecrets, ListsFoldSlashesIntoFoldersPageByPage) {
  for (int i = 0; i < 130; ++i) Create(Format("list/app/s{:03}", i), "x");
  Create("list/app", "x");
  Create("list/zed/deep/er", "x");
  Create("list-other", "x");
  auto config = Config(AwsService::kSecretsManager);
  const auto provider = Make(config);
  int pages = 0;
  EXPECT_EQ(List(*provider, "list", &pages), "app app/, zed/");
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(List(*provider, "list/zed"), "deep/");
  EXPECT_EQ(List(*provider, "list/zed/deep/"), "er");
  EXPECT_THAT(List(*provider, "list/app"), AllOf(StartsWith("s000, s001"), HasSubstr("s129")));
  EXPECT_THAT(List(*provider, "list/nothing"), StartsWith("NOT_FOUND"));
  EXPECT_THAT(List(*provider, ""), HasSubstr("list/, list-other"));
  config.prefix = "list/zed/";
  const auto prefixed = Make(config);
  EXPECT_EQ(List(*prefixed, ""), "deep/");
  EXPECT_EQ(Text(Fetch(*prefixed, "deep/er")), "x");
}

TEST_F(AwsSecrets, NamesThatBeginWithASlashAreFoundWithoutIt) {
  Create("/slashed/db", "with slash");
  Create("/slashed/pw", "also");
  const auto fresh = Secrets();
  EXPECT_EQ(Text(Fetch(*fresh, "slashed/db")), "with slash");
  EXPECT_EQ(Text(Fetch(*fresh, "/slashed/db")), "with slash");
  const auto provider = Secrets();
  EXPECT_EQ(List(*provider, "slashed"), "db, pw");
  moto().Requests();
  const auto both = FetchAll(*provider, {{"slashed/db", ""}, {"slashed/pw", ""}});
  EXPECT_EQ(Text(both[0]) + ", " + Text(both[1]), "with slash, also");
  EXPECT_EQ(moto().Actions(), "BatchGetSecretValue") << "the listing showed the names";
  Create("slashed/db", "without");
  EXPECT_EQ(Text(Fetch(*fresh, "slashed/db")), "without") << "the exact name goes first";
}

TEST_F(AwsSecrets, CheckingTheLoginReadsNoSecret) {
  const auto provider = Secrets();
  EXPECT_TRUE(Await(provider->CheckLogin(Deadline())).ok());
  EXPECT_EQ(moto().Actions(), "ListSecrets");
}

// Last: what it refuses stays refused.
TEST_F(AwsSecrets, WithoutThePermissionToBatchEachIsReadAlone) {
  Create("alone/a", "a");
  Create("alone/b", "b");
  moto().Refuse("BatchGetSecretValue");
  moto().Refuse("DescribeSecret");
  const auto provider = Secrets();
  const auto first = FetchAll(*provider, {{"alone/a", ""}, {"alone/b", ""}});
  EXPECT_EQ(Text(first[0]) + Text(first[1]), "ab");
  EXPECT_EQ(moto().Actions(), "BatchGetSecretValue, GetSecretValue, GetSecretValue");
  const auto second = FetchAll(*provider, {{"alone/a", ""}, {"alone/b", ""}});
  EXPECT_EQ(Text(second[0]) + Text(second[1]), "ab");
  EXPECT_THAT(moto().Actions(), Not(HasSubstr("Batch"))) << "the refusal is remembered";
  EXPECT_EQ(Text(Fetch(*provider, "alone/a")), "a");
  EXPECT_EQ(moto().Actions(), "GetSecretValue") << "that descriptions are refused, too";
}

}  // namespace
}  // namespace secretfs::testing
