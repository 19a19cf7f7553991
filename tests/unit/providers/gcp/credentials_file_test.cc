#include "providers/gcp/credentials_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers::gcp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename Kind>
Kind Parse(const std::string& json) {
  auto credentials = ParseCredentials(json);
  EXPECT_TRUE(credentials.ok()) << credentials.status();
  if (!credentials.ok() || !std::holds_alternative<Kind>(credentials->kind)) return {};
  return std::get<Kind>(std::move(credentials->kind));
}

std::string Error(const std::string& json) {
  const auto credentials = ParseCredentials(json);
  EXPECT_EQ(credentials.status().code(), absl::StatusCode::kInvalidArgument) << json;
  EXPECT_THAT(credentials.status().ToString(), Not(HasSubstr("planted")));
  return credentials.status().ToString();
}

TEST(CredentialsFileTest, ServiceAccount) {
  const auto key = Parse<ServiceAccountKey>(
      R"({"type":"service_account","client_email":"a@p","private_key_id":"k","private_key":"PEM",
          "project_id":"p","token_uri":"https://t.example/token"})");
  EXPECT_EQ(key.client_email, "a@p");
  EXPECT_EQ(key.private_key_id, "k");
  EXPECT_EQ(key.private_key.ExposeAsText(), "PEM");
  EXPECT_EQ(key.token_uri, "https://t.example/token");
  EXPECT_EQ(
      Parse<ServiceAccountKey>(R"({"type":"service_account","client_email":"a","private_key":"k"})")
          .token_uri,
      "https://oauth2.googleapis.com/token");
  EXPECT_THAT(Error(R"({"type":"service_account","client_email":"planted"})"),
              HasSubstr("private_key"));
  EXPECT_THAT(Error(R"({"type":"service_account","private_key":"planted"})"),
              HasSubstr("client_email"));
}

TEST(CredentialsFileTest, Users) {
  const auto user = Parse<UserLogin>(
      R"({"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"})");
  EXPECT_EQ(user.client_id, "c");
  EXPECT_EQ(user.client_secret.ExposeAsText(), "s");
  EXPECT_EQ(user.refresh_token.ExposeAsText(), "r");
  EXPECT_FALSE(user.client_in_header);
  const auto staff = Parse<UserLogin>(
      R"({"type":"external_account_authorized_user","client_id":"c","client_secret":"s",
          "refresh_token":"r","token_url":"https://sts.googleapis.com/v1/oauthtoken"})");
  EXPECT_TRUE(staff.client_in_header);
  EXPECT_EQ(staff.token_uri, "https://sts.googleapis.com/v1/oauthtoken");
  EXPECT_EQ(ParseCredentials(R"({"type":"authorized_user","client_id":"c","client_secret":"s",
      "refresh_token":"r","quota_project_id":"q"})")
                ->quota_project,
            "q");
}

std::string External(const std::string& source, const std::string& more = "") {
  return Format(R"({{"type":"external_account","audience":"//a","subject_token_type":"urn:t",
                    "credential_source":{}{}}})",
                source, more);
}

TEST(CredentialsFileTest, ExternalAccounts) {
  auto account = Parse<ExternalAccount>(External(R"({"file":"/token"})"));
  EXPECT_EQ(account.audience, "//a");
  EXPECT_EQ(account.subject_token_type, "urn:t");
  EXPECT_EQ(account.token_url, "https://sts.googleapis.com/v1/token");
  EXPECT_EQ(account.source.credential.file, "/token");
  EXPECT_EQ(account.source.json_field, "");
  account = Parse<ExternalAccount>(
      External(R"({"url":"http://169.254.169.254/token","headers":{"Metadata":"True"},
                   "format":{"type":"json","subject_token_field_name":"access_token"}})",
               R"(,"service_account_impersonation_url":
                   "https://iamcredentials.googleapis.com/v1/x/a@p:generateAccessToken",
                   "service_account_impersonation":{"token_lifetime_seconds":1200})"));
  EXPECT_EQ(account.source.url, "http://169.254.169.254/token");
  EXPECT_EQ(account.source.headers.at("Metadata").ExposeAsText(), "True");
  EXPECT_EQ(account.source.json_field, "access_token");
  EXPECT_THAT(account.impersonation_url, HasSubstr("a@p:generateAccessToken"));
  EXPECT_EQ(account.impersonation_life, std::chrono::seconds(1200));
}

TEST(CredentialsFileTest, SourcesThatCannotBeUsed) {
  EXPECT_THAT(Error(External("{}")), HasSubstr("either file or url"));
  EXPECT_THAT(Error(External(R"({"file":"/a","url":"https://b"})")), HasSubstr("file or url"));
  for (const char* host : {"issuer.example", "127.evil.example", "169.254.evil.example"}) {
    EXPECT_THAT(Error(External(Format(R"({{"url":"http://{}/token"}})", host))),
                HasSubstr("without TLS"));
  }
  EXPECT_THAT(Error(External(R"({"file":"relative"})")), HasSubstr("absolute path"));
  EXPECT_THAT(Error(External(R"({"url":"ftp://x"})")), HasSubstr("URL"));
  EXPECT_THAT(Error(External(R"({"executable":{"command":"planted"}})")),
              HasSubstr("not built into"));
  EXPECT_THAT(Error(External(R"({"environment_id":"aws1"})")), HasSubstr("not built into"));
  EXPECT_THAT(Error(External(R"({"file":"/a","format":{"type":"xml"}})")), HasSubstr("json"));
  EXPECT_THAT(Error(External(R"({"file":"/a","format":{"type":"json"}})")),
              HasSubstr("subject_token_field_name"));
  EXPECT_THAT(Error(External(R"({"url":"https://x","headers":{"a":"planted\r\nb: c"}})")),
              HasSubstr("headers"));
  EXPECT_THAT(Error(External(R"({"file":"/a"})",
                             R"(,"service_account_impersonation":{"token_lifetime_seconds":-1})")),
              HasSubstr("token_lifetime_seconds"));
}

TEST(CredentialsFileTest, ImpersonatedServiceAccounts) {
  const auto account = Parse<ImpersonatedServiceAccount>(
      R"({"type":"impersonated_service_account","delegates":["a@p"],
          "service_account_impersonation_url":"https://i.example/b@p:generateAccessToken",
          "source_credentials":{"type":"authorized_user","client_id":"c","client_secret":"s",
                                "refresh_token":"r"}})");
  EXPECT_THAT(account.delegates, ::testing::ElementsAre("a@p"));
  ASSERT_NE(account.source, nullptr);
  EXPECT_TRUE(std::holds_alternative<UserLogin>(account.source->kind));
  // One inside the other would have no end.
  EXPECT_THAT(Error(R"({"type":"impersonated_service_account",
      "service_account_impersonation_url":"https://i.example/b",
      "source_credentials":{"type":"impersonated_service_account"}})"),
              HasSubstr("source_credentials"));
}

TEST(CredentialsFileTest, AddressesThatSecretsWouldBeSentTo) {
  const auto with = [](const std::string& uri) {
    return Format(R"({{"type":"service_account","client_email":"a","private_key":"k",
                      "token_uri":"{}"}})",
                  uri);
  };
  for (const char* uri : {"http://oauth.example/token", "http://127.evil.example/t", "ftp://x",
                          "oauth2.googleapis.com", "https://user@x/token", "https://x/token#a"}) {
    EXPECT_THAT(Error(with(uri)), HasSubstr("token_uri")) << uri;
  }
  for (const char* uri : {"https://x/token", "http://127.0.0.1:8080/token", "http://localhost/t"}) {
    EXPECT_TRUE(ParseCredentials(with(uri)).ok()) << uri;
  }
}

TEST(CredentialsFileTest, WhatIsNoCredentialsFile) {
  EXPECT_THAT(Error(""), HasSubstr("JSON"));
  EXPECT_THAT(Error("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(Error("{}"), HasSubstr("'type'"));
  EXPECT_THAT(Error(R"({"type":"planted"})"), HasSubstr("service_account"));
  EXPECT_THAT(Error(R"({"type":7})"), HasSubstr("'type'"));
  EXPECT_THAT(Error(R"({"type":"service_account","universe_domain":"other.example"})"),
              HasSubstr("universe_domain"));
}

}  // namespace
}  // namespace secretfs::providers::gcp
