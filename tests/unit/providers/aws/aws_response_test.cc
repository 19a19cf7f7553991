#include "providers/aws/aws_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const SecretBytes& bytes) { return std::string(bytes.ExposeAsText()); }

TEST(AwsResponse, SecretsAreTextOrBytes) {
  const auto text = ParseSecretValue(
      R"({"ARN":"a","Name":"n","VersionId":"v","SecretString":"x\u0000y","CreatedDate":1.7955432005E9})");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(Text(text->secret.value), std::string("x\0y", 3));
  EXPECT_EQ(text->secret.version, "v");
  EXPECT_EQ(text->secret.changed_at->time_since_epoch(),
            std::chrono::milliseconds(1'795'543'200'500));
  const auto bytes = ParseSecretValue(R"({"Name":"n","VersionId":"v","SecretBinary":"AP8="})");
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(Text(bytes->secret.value), std::string("\0\xff", 2));
  EXPECT_FALSE(bytes->secret.changed_at.has_value());
  const auto empty = ParseSecretValue(R"({"Name":"n","VersionId":"v","SecretString":""})");
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->secret.value.empty());
}

TEST(AwsResponse, WhatIsNoSecretIsAnOutageWithoutItsContent) {
  for (const char* body :
       {"", "[]", "<html>planted-word</html>", R"({"Name":"n","SecretString":"planted-word"})",
        R"({"VersionId":"v","SecretString":"planted-word"})", R"({"Name":"n","VersionId":"v"})",
        R"({"Name":"n","VersionId":"v","SecretString":5})",
        R"({"Name":"n","VersionId":"v","SecretBinary":"planted-word!"})",
        "{\"Name\":\"n\",\"VersionId\":\"v\",\"SecretString\":\"planted-word\xff\"}"}) {
    const auto secret = ParseSecretValue(body);
    EXPECT_EQ(secret.status().code(), StatusCode::kUnavailable) << body;
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST(AwsResponse, Base64IsStrict) {
  EXPECT_EQ(Text(*DecodeBase64("")), "");
  EXPECT_EQ(Text(*DecodeBase64("Zg==")), "f");
  EXPECT_EQ(Text(*DecodeBase64("Zm8=")), "fo");
  EXPECT_EQ(Text(*DecodeBase64("Zm9v")), "foo");
  EXPECT_EQ(Text(*DecodeBase64("+/+/")), "\xfb\xff\xbf");
  for (const char* wrong :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Z-9v", "=Zm9"}) {
    EXPECT_FALSE(DecodeBase64(wrong).has_value()) << wrong;
  }
}

TEST(AwsResponse, ABatchHasValuesAndErrors) {
  const auto batch = ParseBatch(R"({
    "SecretValues":[{"ARN":"arn:aws:secretsmanager:r:1:secret:a/b-AbCdEf","Name":"a/b",
                     "VersionId":"v","SecretString":"x"}],
    "Errors":[{"SecretId":"c","ErrorCode":"AccessDeniedException","Message":"m"}],
    "NextToken":"more"})");
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_EQ(batch->values.size(), 1u);
  EXPECT_EQ(batch->errors.at("c").code, "AccessDeniedException");
  EXPECT_EQ(batch->next_token, "more");
  const NamedSecret& secret = batch->values[0];
  EXPECT_TRUE(Means("a/b", secret));
  EXPECT_TRUE(Means("arn:aws:secretsmanager:r:1:secret:a/b-AbCdEf", secret));
  EXPECT_TRUE(Means("arn:aws:secretsmanager:r:1:secret:a/b", secret));
  EXPECT_FALSE(Means("arn:aws:secretsmanager:r:1:secret:a", secret));
  EXPECT_FALSE(Means("a/b-AbCdEf", secret));
  EXPECT_FALSE(Means("", secret));
  EXPECT_EQ(ParseBatch(R"({"SecretValues":[{"Name":"a"}]})").status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(ParseBatch(R"({"Errors":[{"SecretId":"a"}]})").status().code(),
            StatusCode::kUnavailable);
}

TEST(AwsResponse, DescriptionsAndNames) {
  const auto description = ParseDescription(
      R"({"Name":"n","DeletedDate":null,"VersionIdsToStages":{"1":["AWSPREVIOUS","old"],"2":["AWSCURRENT"],"3":5}})");
  ASSERT_TRUE(description.ok());
  EXPECT_FALSE(description->deleted);
  EXPECT_EQ(description->version_of_stage.at("AWSCURRENT"), "2");
  EXPECT_EQ(description->version_of_stage.at("old"), "1");
  EXPECT_TRUE(ParseDescription(R"({"Name":"n","DeletedDate":1.5})")->deleted);
  const auto names = ParseSecretNames(R"({"SecretList":[{"Name":"a"},{"ARN":"x"},{"Name":"b"}]})");
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(names->names, ElementsAre("a", "b"));
  EXPECT_FALSE(ParseSecretNames(R"({"Parameters":[]})").ok());
}

TEST(AwsResponse, ParametersHaveNumbersAndTimesForVersions) {
  const auto answer = ParseParameters(R"({"Parameters":[
      {"Name":"/a","ARN":"arn","Version":3,"Value":"x","LastModifiedDate":1795543200.5},
      {"Name":"/b","Version":1,"Value":"y","Selector":":1"}],
      "InvalidParameters":["/c:9"]})");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->values[0].secret.version, "3@1795543200500");
  EXPECT_EQ(answer->values[1].secret.version, "1");
  EXPECT_EQ(answer->values[1].selector, ":1");
  EXPECT_TRUE(answer->missing.contains("/c:9"));
  EXPECT_FALSE(ParseParameters(R"({"Parameters":[{"Name":"/a","Value":"x"}]})").ok());
  EXPECT_FALSE(ParseParameters(R"({"Parameters":[{"Name":"/a","Version":1.5,"Value":"x"}]})").ok());
}

}  // namespace
}  // namespace secretfs::providers::aws
