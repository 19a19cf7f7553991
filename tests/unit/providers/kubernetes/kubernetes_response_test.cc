#include "providers/kubernetes/kubernetes_response.h"

#include <gmock/gmock.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers::kubernetes {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kVersion[] = "client.authentication.k8s.io/v1";

std::string SecretWith(const std::string& data) {
  return R"({"kind":"Secret","metadata":{"name":"db","uid":"u-1","resourceVersion":"7")"
         R"(,"creationTimestamp":"2026-11-24T18:00:00Z"},"data":)" +
         data + "}";
}

WallTime At(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

TEST(KubernetesResponse, ASecretsFieldsAreDecoded) {
  const auto secret = ParseSecret(SecretWith(R"({"a":"b25l","bin":"/wA=","none":""})"));
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->version, "7@u-1");
  EXPECT_EQ(secret->fields.at("a").ExposeAsText(), "one");
  EXPECT_EQ(secret->fields.at("bin").ExposeAsText(), std::string_view("\xff\0", 2));
  EXPECT_EQ(secret->fields.at("none").ExposeAsText(), "");
  EXPECT_EQ(secret->value.ExposeAsText(), R"({"a":"one","bin":"/wA=","none":""})");
  EXPECT_EQ(secret->changed_at, At(1795543200));
}

TEST(KubernetesResponse, WhatIsNoUtf8TextStaysBase64InTheWholeValue) {
  // Overlong forms, surrogates, cut sequences and code points that do not exist.
  for (const char* encoded : {"wIA=", "7aCA", "4oI=", "9JCAgA==", "gA==", "/w=="}) {
    const auto secret = ParseSecret(SecretWith(Format(R"({{"a":"{}"}})", encoded)));
    ASSERT_TRUE(secret.ok()) << secret.status();
    EXPECT_EQ(secret->value.ExposeAsText(), Format(R"({{"a":"{}"}})", encoded));
  }
  const auto text = ParseSecret(SecretWith(R"({"a":"8J+YgMOkAQ=="})"));  // 😀ä and a control
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->value.ExposeAsText(), "{\"a\":\"😀ä\\u0001\"}");
}

TEST(KubernetesResponse, TheLastWriteIsWhenItChanged) {
  const auto secret = ParseSecret(
      R"({"kind":"Secret","metadata":{"uid":"u","resourceVersion":"7",)"
      R"("creationTimestamp":"2026-11-24T18:00:00Z","managedFields":[)"
      R"({"time":"2026-11-24T18:00:05Z"},{"time":"2026-11-24T18:00:09Z"},{"time":"no time"},{}]}})");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->changed_at, At(1795543209));
}

TEST(KubernetesResponse, OtherDocumentsAreNoSecretAndAreNotQuoted) {
  for (const std::string& body :
       {std::string("planted"), std::string("[]"), std::string(R"({"kind":"planted"})"),
        std::string(R"({"kind":"Secret","metadata":{"resourceVersion":"7"}})"),
        std::string(R"({"kind":"Secret","metadata":{"uid":"u","resourceVersion":"7\n8"}})"),
        SecretWith("[]"), SecretWith(R"({"a":"planted!"})"), SecretWith(R"({"a":5})")}) {
    const auto secret = ParseSecret(body);
    EXPECT_EQ(secret.status().code(), absl::StatusCode::kUnavailable) << body;
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST(KubernetesResponse, AListHasNamesVersionsAndTheNextPage) {
  const auto list =
      ParseMetadataList(R"({"metadata":{"resourceVersion":"20","continue":"next"},"items":[)"
                        R"({"metadata":{"name":"a","uid":"u","resourceVersion":"3"}},)"
                        R"({"metadata":{"name":"b","uid":"v","resourceVersion":"4"}}]})");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->resource_version, "20");
  EXPECT_EQ(list->next_page, "next");
  ASSERT_EQ(list->items.size(), 2u);
  EXPECT_EQ(list->items[1].name, "b");
  EXPECT_EQ(list->items[1].version, "4@v");
  EXPECT_TRUE(ParseMetadataList(R"({"metadata":{"resourceVersion":"1"},"items":null})").ok());
  EXPECT_FALSE(ParseMetadataList(R"({"items":[]})").ok());
  EXPECT_FALSE(ParseMetadataList(R"({"metadata":{"resourceVersion":"1"},"items":[{}]})").ok());
}

TEST(KubernetesResponse, EventsOfAWatch) {
  const auto changed = ParseWatchEvent(
      R"({"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"u","resourceVersion":"3"}}})");
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->type, WatchEvent::Type::kChanged);
  EXPECT_EQ(changed->resource_version, "3");
  EXPECT_EQ(changed->object.version, "3@u");
  const auto bookmark =
      ParseWatchEvent(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}})");
  ASSERT_TRUE(bookmark.ok()) << bookmark.status();
  EXPECT_EQ(bookmark->type, WatchEvent::Type::kBookmark);
  EXPECT_EQ(bookmark->resource_version, "9");
  const auto error = ParseWatchEvent(
      R"({"type":"ERROR","object":{"kind":"Status","message":"too\nold","code":410}})");
  ASSERT_TRUE(error.ok()) << error.status();
  EXPECT_EQ(error->type, WatchEvent::Type::kError);
  EXPECT_EQ(error->error_code, 410);
  EXPECT_EQ(error->error_message, "too old");
  EXPECT_FALSE(ParseWatchEvent(R"({"type":"PLANTED","object":{}})").ok());
  EXPECT_FALSE(ParseWatchEvent(R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})").ok());
  EXPECT_FALSE(ParseWatchEvent("").ok());
}

TEST(KubernetesResponse, AFailuresMessageIsMadePrintableAndShort) {
  const ApiStatus status =
      ParseApiStatus(Format(R"({{"kind":"Status","message":"a\u001b[31m{}","reason":"Forbidden"}})",
                            std::string(1000, 'x')));
  EXPECT_EQ(status.reason, "Forbidden");
  EXPECT_LT(status.message.size(), 310u);
  EXPECT_EQ(status.message.find('\x1b'), std::string::npos);
  EXPECT_EQ(ParseApiStatus(R"({"kind":"Secret","message":"planted"})").message, "");
  EXPECT_EQ(ParseApiStatus("<html>").message, "");
  EXPECT_EQ(ParseApiStatus(R"({"kind":"Status","metadata":{"continue":"next"}})").next_page,
            "next");
}

TEST(KubernetesResponse, ATokenNeedsAnEnd) {
  const auto token =
      ParseTokenRequest(R"({"status":{"token":"t","expirationTimestamp":"2026-11-24T18:00:00Z"}})");
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->token.ExposeAsText(), "t");
  EXPECT_EQ(token->expires_at, At(1795543200));
  EXPECT_FALSE(ParseTokenRequest(R"({"status":{"token":"t"}})").ok());
  EXPECT_FALSE(
      ParseTokenRequest(R"({"status":{"expirationTimestamp":"2026-11-24T18:00:00Z"}})").ok());
}

std::string ExecWith(const std::string& status) {
  return Format(R"({{"apiVersion":"{}","kind":"ExecCredential","status":{}}})", kVersion, status);
}

TEST(KubernetesResponse, WhatAPluginPrints) {
  const auto token = ParseExecCredential(ExecWith(R"({"token":"t"})"), kVersion);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->token.ExposeAsText(), "t");
  EXPECT_FALSE(token->expires_at.has_value());
  const auto both =
      ParseExecCredential(ExecWith(R"({"clientCertificateData":"c","clientKeyData":"k",)"
                                   R"("expirationTimestamp":"2026-11-24T19:00:00+01:00"})"),
                          kVersion);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->client_certificate.ExposeAsText(), "c");
  EXPECT_EQ(both->expires_at, At(1795543200));
}

TEST(KubernetesResponse, WhatAPluginMustNotPrint) {
  for (const std::string& output :
       {std::string("planted"), std::string(R"({"kind":"planted"})"), ExecWith("{}"),
        ExecWith(R"({"clientCertificateData":"planted"})"),
        ExecWith(R"({"token":"planted","expirationTimestamp":"soon"})"), ExecWith("null")}) {
    const auto credential = ParseExecCredential(output, kVersion);
    EXPECT_EQ(credential.status().code(), absl::StatusCode::kFailedPrecondition) << output;
    EXPECT_THAT(credential.status().ToString(), Not(HasSubstr("planted")));
  }
  EXPECT_FALSE(ParseExecCredential(ExecWith(R"({"token":"t"})"), "another/v1").ok());
}

}  // namespace
}  // namespace secretfs::providers::kubernetes
