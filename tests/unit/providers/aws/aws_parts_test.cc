// The pure parts: names, endpoints, files, XML and AWS's error codes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "base/text.h"
#include "providers/aws/api_error.h"
#include "providers/aws/credentials_answer.h"
#include "providers/aws/endpoints.h"
#include "providers/aws/http_credentials.h"
#include "providers/aws/names.h"
#include "providers/aws/parameter_store.h"
#include "providers/aws/profiles.h"
#include "providers/aws/xml.h"

namespace secretfs::providers::aws {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Shown(const std::vector<ListEntry>& entries) {
  std::string text;
  for (const ListEntry& entry : entries) {
    if (entry.is_secret) text += entry.name + " ";
    if (entry.is_prefix) text += entry.name + "/ ";
  }
  return text;
}

TEST(AwsNames, EntriesDirectlyBelowAPrefix) {
  const std::vector<std::string> names{"app/db/pw", "app/db", "app",   "application", "/app/x",
                                       "app//bad",  "app/",   "/lone", "other"};
  std::set<std::string, std::less<>> slashed;
  EXPECT_EQ(Shown(EntriesBelow("", names, slashed)), "app app/ application lone other ");
  EXPECT_THAT(slashed, ElementsAre("app", "lone"));
  EXPECT_EQ(Shown(EntriesBelow("app/", names, slashed)), "db db/ x ");
  EXPECT_EQ(Shown(EntriesBelow("app/db/", names, slashed)), "pw ");
  slashed.clear();
  EXPECT_EQ(Shown(EntriesBelow("/app/", names, slashed)), "x ");
  EXPECT_TRUE(slashed.empty());
  // A store's prefix need not end with a slash.
  EXPECT_EQ(Shown(EntriesBelow("appl", names, slashed)), "ication ");
}

TEST(AwsNames, VersionsAreIdsOrStages) {
  EXPECT_EQ(ParseVersion("").id + ParseVersion("").stage, "");
  EXPECT_EQ(ParseVersion("AWSPREVIOUS").stage, "AWSPREVIOUS");
  EXPECT_EQ(ParseVersion("uuid/anything").id, "anything");
  const std::string uuid = "0a1b2c3d-0000-4444-8888-ABCDEF012345";
  EXPECT_EQ(ParseVersion(uuid).id, uuid);
  EXPECT_EQ(ParseVersion(uuid + "0").stage, uuid + "0");
}

TEST(AwsNames, ParametersAsTheApiCallsThem) {
  EXPECT_EQ(ParameterName({"flat", ""}), "flat");
  EXPECT_EQ(ParameterName({"a/b", "3"}), "/a/b:3");
  EXPECT_EQ(ParameterName({"/a/b", "label"}), "/a/b:label");
  EXPECT_EQ(ParameterName({"arn:aws:ssm:r:1:parameter/a/b", "3"}),
            "arn:aws:ssm:r:1:parameter/a/b:3");
}

TEST(AwsEndpoints, RegionsAreNames) {
  EXPECT_EQ(*EndpointOf("ssm", "eu-central-1", {}), "https://ssm.eu-central-1.amazonaws.com");
  for (const char* wrong : {"", "eu central", "x.evil.test", "a/b", "-a", "EU-WEST-1"}) {
    EXPECT_EQ(EndpointOf("ssm", wrong, {}).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_EQ(*CustomEndpoint("http://127.0.0.1:1234/", "endpoint"), "http://127.0.0.1:1234");
  for (const char* wrong : {"", "host", "ftp://x", "https://u:p@h", "https://h?x", "https://h#f"}) {
    const auto endpoint = CustomEndpoint(wrong, "stsEndpoint");
    EXPECT_EQ(endpoint.status().code(), StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(endpoint.status().ToString(), HasSubstr("stsEndpoint"));
  }
  for (const char* plain : {"http://localstack:4566", "http://127.evil.example"}) {
    EXPECT_THAT(CustomEndpoint(plain, "stsEndpoint").status().ToString(),
                AllOf(HasSubstr("stsEndpoint"), HasSubstr("without TLS")));
    EXPECT_EQ(*CustomEndpoint(plain, "stsEndpoint", Plaintext::kAnybody), plain);
  }
}

TEST(AwsSharedFiles, ProfilesWithCommentsQuotesAndNesting) {
  const Profiles config = ParseProfiles(
      "# comment\n[default]\nregion = eu-west-1 # here\n"
      "s3 =\n  endpoint = nested\n[profile \"a b\"]\r\nRole_Arn=arn:x#y\r\n"
      "[team]\nregion = not in a config file\n[sso-session corp]\nregion = no\n"
      "[profile last]\naws_secret_access_key = a=b;c\nno equals sign",
      SharedFileKind::kConfig);
  ASSERT_EQ(config.size(), 3u);
  EXPECT_EQ(ValueOf(config.at("default"), "region"), "eu-west-1");
  EXPECT_EQ(ValueOf(config.at("default"), "endpoint"), "");
  EXPECT_EQ(ValueOf(config.at("a b"), "role_arn"), "arn:x#y");
  EXPECT_EQ(ValueOf(config.at("last"), "aws_secret_access_key"), "a=b;c");
  const Profiles credentials =
      ParseProfiles("[team]\naws_access_key_id=X\n", SharedFileKind::kCredentials);
  EXPECT_EQ(ValueOf(credentials.at("team"), "aws_access_key_id"), "X");
}

TEST(AwsXml, TextOfTheFirstElement) {
  const auto text = [](std::string_view document, std::string_view name) -> std::string {
    const std::optional<SecretBytes> found = XmlText(document, name);
    return found.has_value() ? std::string(found->ExposeAsText()) : "(none)";
  };
  EXPECT_EQ(
      text("<?xml version=\"1\"?><a x='>'><!-- <b>no</b> --><b>1 &lt;&#38;&#x3e; 2</b></a>", "b"),
      "1 <&> 2");
  EXPECT_EQ(text("<a><bc>1</bc><b>2</b></a>", "b"), "2");
  EXPECT_EQ(text("<a><b/></a>", "b"), "(none)");
  EXPECT_EQ(text("<a><b></b></a>", "b"), "");
  for (const char* broken : {"", "<b", "<b>", "<b>x", "<b>x</c>", "<b>&nope;</b>", "<b>&#0;</b>",
                             "<b>&amp</b>", "<b><i>x</i></b>", "<![CDATA[<b>x</b>]]>"}) {
    EXPECT_EQ(text(broken, "b"), "(none)") << broken;
  }
}

TEST(AwsSts, AnAnswerNeedsAllOfCredentialsAndTheirEnd) {
  const std::string whole =
      "<R><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey>"
      "<SessionToken>t</SessionToken><Expiration>2026-11-24T18:00:00.5Z</Expiration>"
      "</Credentials></R>";
  const auto made = ParseRoleAnswer(whole);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->credentials.access_key_id, "ASIA");
  EXPECT_EQ(made->credentials.secret_access_key.ExposeAsText(), "s/+=");
  EXPECT_EQ(made->expiration.time_since_epoch(), std::chrono::milliseconds(1'795'543'200'500));
  for (const char* part : {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}) {
    std::string without = whole;
    const size_t begin = without.find(Format("<{}>", part));
    without.erase(begin, without.find(Format("</{}>", part)) - begin);
    EXPECT_EQ(ParseRoleAnswer(without).status().code(), StatusCode::kUnavailable) << part;
  }
}

TEST(AwsCredentialsJson, TheEndIsByTheServersClock) {
  const WallTime now{std::chrono::seconds(1'795'543'200)};
  const MonotonicTime arrived{std::chrono::seconds(1000)};
  const auto made = ParseCredentials(
      R"({"AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-24T19:00:00Z"})",
      now, arrived);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->expires_at, arrived + std::chrono::hours(1));
  const auto failed = ParseCredentials(R"({"Code":"AssumeRoleUnauthorizedAccess"})", now, arrived);
  EXPECT_EQ(failed.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(failed.status().ToString(), HasSubstr("AssumeRoleUnauthorizedAccess"));
  EXPECT_FALSE(ParseCredentials(R"({"AccessKeyId":"A"})", now, arrived).ok());
}

TEST(AwsCredentialsJson, PlainHttpIsForThisMachineAndLinkLocalAgents) {
  for (const char* url : {"http://127.0.0.1:80/x", "http://localhost/x", "http://169.254.170.2/x",
                          "http://169.254.170.23/v1/credentials",
                          "http://[fd00:ec2::23]/v1/credentials", "https://agent.test/x"}) {
    EXPECT_TRUE(CheckContainerUrl(url).ok()) << url;
  }
  for (const char* url : {"http://169.254.169.254/x", "http://agent.test/x", "/relative", "",
                          "http://169.254.170.2.evil.test/", "http://127.evil.test/"}) {
    EXPECT_FALSE(CheckContainerUrl(url).ok()) << url;
  }
}

HttpResponse Response(long status, std::string_view body) {
  HttpResponse response;
  response.status = status;
  response.body = SecretBytes::CopyOf(body);
  return response;
}

TEST(AwsErrors, CodesAndWhatTheyMean) {
  struct Row {
    long status;
    const char* body;
    StatusCode code;
  };
  const std::vector<Row> rows{
      {400, R"({"__type":"ResourceNotFoundException","Message":"x"})", StatusCode::kNotFound},
      {400, R"({"__type":"com.amazonaws.ssm#ParameterNotFound"})", StatusCode::kNotFound},
      {400, R"({"__type":"InvalidRequestException","Message":"marked for deletion"})",
       StatusCode::kNotFound},
      {400, R"({"__type":"InvalidRequestException","Message":"no stages"})",
       StatusCode::kInvalidArgument},
      {400, R"({"__type":"AccessDeniedException"})", StatusCode::kPermissionDenied},
      {400, R"({"__type":"DecryptionFailure"})", StatusCode::kPermissionDenied},
      {400, R"({"__type":"ThrottlingException"})", StatusCode::kResourceExhausted},
      {429, "", StatusCode::kResourceExhausted},
      {400, R"({"__type":"ExpiredTokenException"})", StatusCode::kUnauthenticated},
      {403, "<R><Error><Code>InvalidClientTokenId</Code></Error></R>",
       StatusCode::kUnauthenticated},
      {403, "<R><Error><Code>AccessDenied</Code></Error></R>", StatusCode::kPermissionDenied},
      {400, R"({"__type":"InternalServiceError"})", StatusCode::kUnavailable},
      {500, R"({"__type":"InternalServiceError"})", StatusCode::kUnavailable},
      {503, "<html>", StatusCode::kUnavailable},
      {400, R"({"__type":"SomethingNew"})", StatusCode::kInvalidArgument},
      {404, "", StatusCode::kNotFound},
  };
  for (const Row& row : rows) {
    const HttpResponse response = Response(row.status, row.body);
    const absl::Status status =
        StatusOf(response, ErrorOf(response), "doing", WallTime(std::chrono::seconds(1)));
    EXPECT_EQ(status.code(), row.code) << row.status << " " << row.body << ": " << status;
  }
}

TEST(AwsErrors, OnlyTheCodeIsShownAndMadeSafe) {
  HttpResponse response =
      Response(400, R"({"__type":"a.b#Odd\nCode<x>","message":"planted-word"})");
  response.headers.emplace("retry-after", "7");
  const absl::Status status =
      StatusOf(response, ErrorOf(response), "doing", WallTime(std::chrono::seconds(1)));
  EXPECT_THAT(status.ToString(), HasSubstr("OddCodex"));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("planted")));
  EXPECT_EQ(RetryAfter(status), std::chrono::seconds(7));
  HttpResponse by_header = Response(400, "");
  by_header.headers.emplace("x-amzn-errortype", "AccessDeniedException:http://internal/");
  EXPECT_EQ(ErrorOf(by_header).code, "AccessDeniedException");
}

}  // namespace
}  // namespace secretfs::providers::aws
