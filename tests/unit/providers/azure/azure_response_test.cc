#include "providers/azure/azure_response.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace secretfs::providers::azure {
namespace {

using absl::StatusCode;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr WallTime kNow{seconds(1'800'000'000)};

ObjectKey Secret(Form form = Form::kValue) {
  return {.kind = Kind::kSecret, .name = "db", .version = {}, .before = {}, .form = form};
}

TEST(AzureResponse, ASecret) {
  const auto secret = ParseObject(
      R"({"value":"a\u0000b","id":"https://v.test/secrets/db/v1","attributes":{"created":1700000000}})",
      Secret());
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->value.ExposeAsText(), std::string_view("a\0b", 3));
  EXPECT_EQ(secret->version, "v1");
  EXPECT_EQ(secret->changed_at, WallTime(seconds(1'700'000'000)));
  EXPECT_FALSE(secret->time_to_live.has_value());
  const auto empty = ParseObject(R"({"value":"","id":"https://v.test/secrets/db/v1"})", Secret());
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->value.empty());
  EXPECT_FALSE(empty->changed_at.has_value());
}

TEST(AzureResponse, WhatIsNoSecretIsAnOutage) {
  for (const char* body :
       {"", "planted", "[]", R"({"value":"planted"})", R"({"id":"https://v.test/secrets/db/v1"})",
        R"({"value":1,"id":"https://v.test/secrets/db/v1"})",
        R"({"value":"planted","id":"https://v.test/secrets/db"})",
        R"({"value":"planted","id":"https://v.test/keys/db/v1"})",
        R"({"value":"planted","id":"https://v.test/secrets/db/v1/v2"})",
        R"({"value":"planted","id":"https://v.test/secrets/../v1"})"}) {
    const auto secret = ParseObject(body, Secret());
    EXPECT_EQ(secret.status().code(), StatusCode::kUnavailable) << body;
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST(AzureResponse, FormsThatTheContentDoesNotHave) {
  const std::string id = R"("id":"https://v.test/secrets/db/v1")";
  for (const std::string& body :
       {R"({"value":"planted",)" + id + "}",
        R"({"value":"planted","contentType":"application/x-pkcs12",)" + id + "}",
        R"({"value":"cGxhbnRlZA==","contentType":"application/x-pkcs12",)" + id + "}",
        R"({"value":"planted","contentType":"application/x-pem-file",)" + id + "}"}) {
    for (const Form form : {Form::kPem, Form::kCertificate, Form::kPrivateKey}) {
      const auto secret = ParseObject(body, Secret(form));
      EXPECT_EQ(secret.status().code(), StatusCode::kInvalidArgument) << body;
      EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
    }
  }
  const std::string strange =
      R"({"value":"planted","kid":"k","contentType":"text/plain",)" + id + "}";
  EXPECT_EQ(ParseObject(strange, Secret(Form::kAuto)).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(AzureResponse, Lists) {
  const auto page = ParseNames(
      R"({"value":[{"id":"https://v.test/secrets/a","attributes":{"enabled":true}},
          {"id":"https://v.test/secrets/b","attributes":{"enabled":false}},
          {"id":"https://v.test/secrets/c"}],"nextLink":"https://v.test/secrets?x"})",
      Kind::kSecret);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->entries.size(), 2u);
  EXPECT_EQ(page->entries[0].name, "a");
  EXPECT_EQ(page->entries[1].name, "c");
  EXPECT_TRUE(page->entries[1].is_secret);
  EXPECT_EQ(page->next_link, "https://v.test/secrets?x");
  const auto last = ParseNames(R"({"value":[],"nextLink":null})", Kind::kKey);
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->next_link, "");
  EXPECT_TRUE(ParseNames(R"({"value":[{"kid":"https://v.test/keys/a"}]})", Kind::kKey).ok());
  for (const char* body :
       {"{}", R"({"value":{}})", R"({"value":[1]})", R"({"value":[{"id":"x"}]})"}) {
    EXPECT_EQ(ParseNames(body, Kind::kSecret).status().code(), StatusCode::kUnavailable) << body;
  }
  const auto versions = ParseVersions(
      R"({"value":[{"id":"https://v.test/secrets/a/v1","attributes":{"created":5}},
          {"id":"https://v.test/secrets/a/v2","attributes":{"created":6,"enabled":false}}]})",
      Kind::kSecret);
  ASSERT_TRUE(versions.ok());
  ASSERT_EQ(versions->versions.size(), 1u);
  EXPECT_EQ(versions->versions[0].version, "v1");
  EXPECT_EQ(versions->versions[0].created, 5);
}

TEST(AzureResponse, ErrorCodesAreTakenOnlyWhenTheyArePlain) {
  const VaultError error = ParseVaultError(
      R"({"error":{"code":"Forbidden","message":"m","innererror":{"code":"ForbiddenByRbac"}}})");
  EXPECT_EQ(error.code, "Forbidden");
  EXPECT_EQ(error.inner_code, "ForbiddenByRbac");
  EXPECT_EQ(ParseVaultError(R"({"error":{"code":"a b\n"}})").code, "");
  EXPECT_EQ(ParseVaultError("<html>").code, "");
  const LoginError login = ParseLoginError(
      R"({"error":"invalid_client","error_description":"planted","error_codes":[7000215]})");
  EXPECT_EQ(login.error, "invalid_client");
  EXPECT_EQ(login.number, 7000215);
  EXPECT_EQ(ParseLoginError(R"({"error":"<script>","error_codes":["x"]})").error, "");
}

TEST(AzureResponse, TokensOfEveryService) {
  const auto entra = ParseAccessToken(R"({"access_token":"t","expires_in":3599})", kNow);
  ASSERT_TRUE(entra.ok());
  EXPECT_EQ(entra->lives, seconds(3599));
  EXPECT_FALSE(entra->refresh_in.has_value());
  const auto metadata = ParseAccessToken(
      R"({"access_token":"t","expires_in":"86399","refresh_in":"43199","expires_on":"1"})", kNow);
  ASSERT_TRUE(metadata.ok());
  EXPECT_EQ(metadata->lives, seconds(86'399));
  EXPECT_EQ(metadata->refresh_in, seconds(43'199));
  const auto app_service =
      ParseAccessToken(R"({"access_token":"t","expires_on":"1800000600"})", kNow);
  ASSERT_TRUE(app_service.ok());
  EXPECT_EQ(app_service->lives, seconds(600));
  // A clock that is ahead of the service's: no life left, not an overflow.
  EXPECT_EQ(ParseAccessToken(R"({"access_token":"t","expires_on":1})", kNow)->lives, seconds(0));
  EXPECT_GT(ParseAccessToken(R"({"access_token":"t","expires_in":9e18})", kNow).status().code(),
            StatusCode::kOk);
  for (const char* body : {"{}", R"({"access_token":"","expires_in":1})", R"({"access_token":"t"})",
                           R"({"access_token":"a\r\nb","expires_in":1})"}) {
    EXPECT_EQ(ParseAccessToken(body, kNow).status().code(), StatusCode::kUnavailable) << body;
  }
}

}  // namespace
}  // namespace secretfs::providers::azure
