// Reading and listing AWS Systems Manager Parameter Store as moto has it, written by AWS's own SDK.

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

class AwsParameters : public AwsTest {};

TEST_F(AwsParameters, SecureStringsAreDecrypted) {
  PutParameter("/secure/db", "läßt sich lesen");
  PutParameter("/secure/list", "a,b", "StringList");
  const auto provider = Parameters();
  const Result secret = Fetch(*provider, "/secure/db");
  EXPECT_EQ(Text(secret), "läßt sich lesen");
  ASSERT_TRUE(secret.ok());
  EXPECT_THAT((*secret)->version, StartsWith("1@"));
  ASSERT_TRUE((*secret)->changed_at.has_value());
  EXPECT_LT(clock_.WallNow() - *(*secret)->changed_at, std::chrono::minutes(1));
  EXPECT_EQ(Text(Fetch(*provider, "secure/list")), "a,b") << "a path begins with a slash";
  EXPECT_EQ(moto().Actions(), "GetParameters, GetParameters");
}

TEST_F(AwsParameters, VersionsAndLabels) {
  PutParameter("/versions/p", "one");
  PutParameter("/versions/p", "two");
  PutParameter("/versions/p", "three");
  moto().Call("ssm", "label_parameter_version",
              {{"Name", "/versions/p"},
               {"ParameterVersion", 1},
               {"Labels", nlohmann::json::array({"old"})}});
  const auto provider = Parameters();
  EXPECT_EQ(Text(Fetch(*provider, "/versions/p")), "three");
  EXPECT_EQ(Text(Fetch(*provider, "/versions/p", "2")), "two");
  EXPECT_EQ(Text(Fetch(*provider, "/versions/p", "old")), "one");
  EXPECT_EQ(Text(Fetch(*provider, "/versions/p:2")), "two");
  EXPECT_THAT(Fetch(*provider, "/versions/p", "9"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "/versions/p", "nosuchlabel"), HasCode(StatusCode::kNotFound));
  // moto does not say which answer is which version's: nothing may be mixed up.
  const auto all = FetchAll(
      *provider,
      {{"/versions/p", "1"}, {"/versions/p", ""}, {"/versions/p", "2"}, {"/versions/p", "old"}});
  EXPECT_EQ(Text(all[0]), "one");
  EXPECT_EQ(Text(all[1]), "three");
  EXPECT_EQ(Text(all[2]), "two");
  EXPECT_EQ(Text(all[3]), "one");
}

TEST_F(AwsParameters, TenTogetherAreOneRequest) {
  std::vector<SecretRef> refs;
  for (int i = 0; i < 9; ++i) {
    refs.push_back({Format("/batch/{:02}", i), ""});
    PutParameter(refs.back().key, Format("value {}", i));
  }
  refs.push_back({"/batch/missing", ""});
  const auto provider = Parameters();
  EXPECT_EQ(provider->capabilities().batch_size, 10u);
  const auto results = FetchAll(*provider, refs);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Text(results[i]), Format("value {}", i));
  EXPECT_THAT(results[9], HasCode(StatusCode::kNotFound));
  EXPECT_THAT(results[9].status().ToString(), HasSubstr("'/batch/missing'"));
  EXPECT_EQ(moto().Actions(), "GetParameters");
}

TEST_F(AwsParameters, OneDeniedOfABatchFailsAlone) {
  PutParameter("/mixed/good", "good");
  PutParameter("/mixed/denied", "hidden-value");
  PutParameter("/mixed/other", "other");
  moto().Deny("/mixed/denied");
  const auto results =
      FetchAll(*Parameters(), {{"/mixed/good", ""}, {"/mixed/denied", ""}, {"/mixed/other", ""}});
  EXPECT_EQ(Text(results[0]), "good");
  EXPECT_THAT(results[1], HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(results[1].status().ToString(),
              AllOf(HasSubstr("/mixed/denied"), Not(HasSubstr("hidden-value"))));
  EXPECT_EQ(Text(results[2]), "other");
}

TEST_F(AwsParameters, ListsFoldHierarchiesPageByPage) {
  for (int i = 0; i < 23; ++i) PutParameter(Format("/list/app/p{:02}", i), "x");
  PutParameter("/list/zed/deep/er", "x");
  PutParameter("/list/plain", "x");
  const auto provider = Parameters();
  int pages = 0;
  EXPECT_EQ(List(*provider, "list", &pages), "app/, plain, zed/");
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(List(*provider, "list/zed"), "deep/");
  EXPECT_EQ(Text(Fetch(*provider, "list/zed/deep/er")), "x");
  EXPECT_THAT(List(*provider, "list/app"), AllOf(StartsWith("p00, p01"), HasSubstr("p22")));
  EXPECT_THAT(List(*provider, "list/nothing"), StartsWith("NOT_FOUND"));
  EXPECT_THAT(List(*provider, ""), HasSubstr("list/"));
  auto config = Config(AwsService::kParameterStore);
  config.prefix = "/list/zed/";
  const auto prefixed = Make(config);
  EXPECT_EQ(List(*prefixed, ""), "deep/");
  EXPECT_EQ(Text(Fetch(*prefixed, "deep/er")), "x");
}

TEST_F(AwsParameters, NamesWithoutAPath) {
  PutParameter("flat-name", "flat");
  PutParameter("/rooted", "rooted");
  const auto provider = Parameters();
  EXPECT_EQ(Text(Fetch(*provider, "flat-name")), "flat");
  EXPECT_EQ(Text(Fetch(*provider, "rooted")), "rooted");
  EXPECT_THAT(List(*provider, ""), AllOf(HasSubstr("flat-name"), HasSubstr("rooted")));
  const auto both = FetchAll(*provider, {{"flat-name", ""}, {"rooted", ""}, {"neither", ""}});
  EXPECT_EQ(Text(both[0]) + ", " + Text(both[1]), "flat, rooted");
  EXPECT_THAT(both[2], HasCode(StatusCode::kNotFound));
}

TEST_F(AwsParameters, CheckingTheLoginReadsNoParameter) {
  EXPECT_TRUE(Await(Parameters()->CheckLogin(Deadline())).ok());
  EXPECT_EQ(moto().Actions(), "DescribeParameters");
}

}  // namespace
}  // namespace secretfs::testing
