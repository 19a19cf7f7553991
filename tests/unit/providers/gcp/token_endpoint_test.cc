#include "providers/gcp/token_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers::gcp {
namespace {

using absl::StatusCode;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TokenEndpointTest, Forms) {
  Form form;
  form.Add("grant_type", "urn:ietf:x").Add("scope", "a b&c=d").Add("e", "");
  EXPECT_EQ(form.Finish().ExposeAsText(), "grant_type=urn%3Aietf%3Ax&scope=a%20b%26c%3Dd&e=");
  Form bytes;
  bytes.Add("x", "\xc3\xa4%+~-_.");
  EXPECT_EQ(bytes.Finish().ExposeAsText(), "x=%C3%A4%25%2B~-_.");
}

TEST(TokenEndpointTest, Authorizations) {
  // RFC 7617 section 2.
  EXPECT_EQ(BasicAuthorization("Aladdin", SecretBytes::CopyOf("open sesame")).ExposeAsText(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  EXPECT_EQ(BearerAuthorization(SecretBytes::CopyOf("t")).ExposeAsText(), "Bearer t");
}

TEST(TokenEndpointTest, Grants) {
  const auto grant = ParseTokenGrant(R"({"access_token":"t","expires_in":3599})");
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(grant->token.ExposeAsText(), "t");
  EXPECT_EQ(grant->life, seconds(3599));
  EXPECT_EQ(ParseTokenGrant(R"({"access_token":"t","expires_in":"60"})")->life, seconds(60));
  EXPECT_EQ(ParseTokenGrant(R"({"access_token":"t"})")->life, seconds(300));
  EXPECT_EQ(ParseTokenGrant(R"({"access_token":"t","expires_in":-1})")->life, seconds(300));
  EXPECT_EQ(ParseTokenGrant(R"({"access_token":"t","expires_in":9223372036854775807})")->life,
            seconds(86400));
  // A token ends up in a header.
  for (const char* body : {"", "{}", "[]", R"({"access_token":""})", R"({"access_token":7})",
                           R"({"access_token":"a b"})", R"({"access_token":"a\r\nb: c"})"}) {
    const auto bad = ParseTokenGrant(body);
    EXPECT_EQ(bad.status().code(), StatusCode::kUnavailable) << body;
  }
}

TEST(TokenEndpointTest, ImpersonationGrantsCountByTheServersClock) {
  const WallTime now{seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z
  const auto life = [now](const std::string& time) {
    return ParseImpersonationGrant(Format(R"({{"accessToken":"t","expireTime":"{}"}})", time), now);
  };
  EXPECT_EQ(life("2027-01-15T09:00:00Z")->life, seconds(3600));
  EXPECT_EQ(life("2027-01-15T08:00:30.5Z")->life, seconds(30));
  EXPECT_EQ(life("2027-01-15T07:00:00Z")->life, seconds(0));
  EXPECT_EQ(life("2999-01-15T07:00:00Z")->life, seconds(86400));
  EXPECT_EQ(life("soon").status().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(ParseImpersonationGrant(R"({"accessToken":"","expireTime":"x"})", now).ok());
}

TEST(TokenEndpointTest, RefusalsAreHarmlessToPrint) {
  const auto error =
      ParseOAuthError(R"({"error":"invalid_grant","error_description":"Invalid JWT\nSignature."})");
  EXPECT_EQ(error.error, "invalid_grant");
  EXPECT_EQ(error.description, "Invalid JWT Signature.");
  // What the server repeats of a credential stays out.
  const std::string planted = "planted" + std::string(60, 'x');
  EXPECT_THAT(
      ParseOAuthError(
          Format(R"({{"error":"invalid_grant","error_description":"got {} there"}})", planted))
          .description,
      Not(HasSubstr("planted")));
  EXPECT_EQ(ParseOAuthError(R"({"error":"Planted text!"})").error, "");
  EXPECT_EQ(ParseOAuthError(R"({"error":{"code":403}})").error, "");
  EXPECT_EQ(ParseOAuthError("<html>").error, "");
  std::string words;
  for (int i = 0; i < 100; ++i) words += "word ";
  EXPECT_LE(ParseOAuthError(Format(R"({{"error":"a","error_description":"{}"}})", words))
                .description.size(),
            200u);
}

}  // namespace
}  // namespace secretfs::providers::gcp
