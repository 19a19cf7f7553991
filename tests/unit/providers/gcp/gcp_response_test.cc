#include "providers/gcp/gcp_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/crc32c.h"
#include "providers/gcp/gcp_error.h"

namespace secretfs::providers::gcp {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

uint32_t Sum(std::string_view text) {
  return Crc32c(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(Crc32cTest, VectorsOfTheStandard) {
  EXPECT_EQ(Sum(""), 0u);
  EXPECT_EQ(Sum("123456789"), 0xe3069283u);
  // RFC 3720 appendix B.4.
  EXPECT_EQ(Sum(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Sum(std::string(32, '\xff')), 0x62a8ab43u);
}

constexpr char kName[] = R"("name":"projects/123/secrets/db/versions/7")";

absl::StatusOr<AccessedVersion> Access(std::string_view payload) {
  return ParseAccess(Format(R"({{{},"payload":{}}})", kName, payload));
}

TEST(GcpResponseTest, AccessedVersions) {
  const auto version = Access(R"({"data":"cGFzc3dvcmQ=","dataCrc32c":"2084472360"})");
  ASSERT_EQ(Sum("password"), 2084472360u);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->number, "7");
  EXPECT_EQ(version->value.ExposeAsText(), "password");
  // int64 as a number is Google's JSON, too.
  EXPECT_TRUE(Access(R"({"data":"cGFzc3dvcmQ=","dataCrc32c":2084472360})").ok());
  EXPECT_TRUE(Access(R"({"data":"cGFzc3dvcmQ="})").ok());
  EXPECT_EQ(Access("{}")->value.size(), 0u);
  EXPECT_EQ(Access(R"({"data":"","dataCrc32c":"0"})")->value.size(), 0u);
}

TEST(GcpResponseTest, WhatIsNoAccessedVersion) {
  for (const char* payload :
       {R"({"data":"cGFzc3dvcmQ=","dataCrc32c":"2084472361"})", R"({"data":"cGFzc3dvcmQ"})",
        R"({"data":"cGFz c3dvcmQ="})", R"({"data":17})", "null", "[]", R"("data")",
        R"({"data":"cGFzc3dvcmQ=","dataCrc32c":"x"})", R"({"data":"cGFzc3dvcmQ=","dataCrc32c":[]})",
        R"({"data":"cGFzc3dvcmQ=","dataCrc32c":"-1"})"}) {
    EXPECT_EQ(Access(payload).status().code(), StatusCode::kUnavailable) << payload;
  }
  for (const char* body : {"", "<html>", "[]", "null", "{}", R"({"payload":{"data":"eA=="}})",
                           R"({"name":"projects/1/secrets/a/versions/latest","payload":{}})",
                           R"({"name":"","payload":{}})", R"({"name":7,"payload":{}})"}) {
    const auto version = ParseAccess(body);
    EXPECT_EQ(version.status().code(), StatusCode::kUnavailable) << body;
  }
  EXPECT_THAT(Access(R"({"data":"planted!"})").status().ToString(), Not(HasSubstr("planted")));
}

TEST(GcpResponseTest, Lists) {
  const auto secrets = ParseSecretList(
      R"({"secrets":[{"name":"projects/1/secrets/a"},{"name":"projects/1/locations/l/secrets/b_C"}],
          "nextPageToken":"t","totalSize":3})");
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  EXPECT_THAT(secrets->names, ElementsAre("a", "b_C"));
  EXPECT_EQ(secrets->next_page, "t");
  EXPECT_THAT(ParseSecretList("{}")->names, IsEmpty());
  EXPECT_EQ(ParseSecretList("{}")->next_page, "");
  for (const char* body : {"[]", R"({"secrets":{}})", R"({"secrets":["a"]})", R"({"secrets":[{}]})",
                           R"({"secrets":[{"name":"projects/1/secrets/.."}]})",
                           R"({"secrets":[{"name":"projects/1/secrets/"}]})"}) {
    EXPECT_EQ(ParseSecretList(body).status().code(), StatusCode::kUnavailable) << body;
  }
  const auto versions = ParseVersionList(
      R"({"versions":[{"name":"projects/1/secrets/a/versions/3","state":"DISABLED"},
                      {"name":"projects/1/secrets/a/versions/2","state":"ENABLED"},
                      {"name":"projects/1/secrets/a/versions/1"}]})");
  ASSERT_TRUE(versions.ok());
  EXPECT_THAT(versions->enabled, ElementsAre("2"));
  EXPECT_FALSE(ParseVersionList(R"({"versions":[{"name":"a/versions/x"}]})").ok());
}

TEST(GcpResponseTest, Errors) {
  const auto error = ParseApiError(
      R"({"error":{"code":403,"status":"PERMISSION_DENIED","message":"planted","details":[
          {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED"},
          {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2.5s"}]}})");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->status, "PERMISSION_DENIED");
  EXPECT_EQ(error->reason, "SERVICE_DISABLED");
  EXPECT_EQ(error->retry_delay, std::chrono::milliseconds(2500));
  EXPECT_TRUE(ParseApiError(R"({"error":{"status":"FAILED_PRECONDITION",
      "message":"Secret Version [projects/1/secrets/a/versions/1] is in DISABLED state."}})")
                  ->version_is_disabled);
  for (const char* body : {"", "<html>", "{}", R"({"error":"x"})", R"({"error":{}})",
                           R"({"error":{"status":"planted text"}})", R"({"error":{"status":5}})"}) {
    EXPECT_FALSE(ParseApiError(body).has_value()) << body;
  }
  const auto odd = ParseApiError(
      R"({"error":{"status":"X","details":[{"@type":"google.rpc.ErrorInfo","reason":"Planted!"},
          {"@type":"google.rpc.RetryInfo","retryDelay":"-1s"},{"@type":7},
          {"@type":"google.rpc.RetryInfo","retryDelay":"1e99s"}]}})");
  EXPECT_EQ(odd->reason, "");
  EXPECT_EQ(odd->retry_delay, std::chrono::hours(24));
}

Failure Of(long status, const std::string& body) {
  HttpResponse response;
  response.status = status;
  response.body = SecretBytes::CopyOf(body);
  return FailureOf(response, "reading", WallTime(std::chrono::seconds(1'800'000'000)));
}
std::string Body(const std::string& status, const std::string& message = "planted") {
  return Format(R"({{"error":{{"status":"{}","message":"{}"}}}})", status, message);
}

TEST(GcpErrorTest, CanonicalCodes) {
  EXPECT_TRUE(Of(200, "{}").status.ok());
  EXPECT_EQ(Of(400, Body("INVALID_ARGUMENT")).status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Of(400, Body("FAILED_PRECONDITION")).status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Of(401, Body("UNAUTHENTICATED")).status.code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Of(401, "").status.code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Of(403, Body("PERMISSION_DENIED")).status.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(Of(404, Body("NOT_FOUND")).status.code(), StatusCode::kNotFound);
  EXPECT_EQ(Of(429, Body("RESOURCE_EXHAUSTED")).status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Of(500, Body("INTERNAL")).status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Of(503, "").status.code(), StatusCode::kUnavailable);
  // What no Google API wrote says nothing about the secret.
  EXPECT_EQ(Of(403, "<html>").status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Of(404, "<html>").status.code(), StatusCode::kUnavailable);
}

TEST(GcpErrorTest, UnusableVersionsAreNotThere) {
  for (const char* state : {"DISABLED", "DESTROYED"}) {
    const Failure failure = Of(
        400, Body("FAILED_PRECONDITION",
                  Format("Secret Version [projects/1/secrets/planted/versions/1] is in {} state.",
                         state)));
    EXPECT_EQ(failure.status.code(), StatusCode::kNotFound);
    EXPECT_TRUE(failure.version_is_unusable);
  }
  EXPECT_FALSE(Of(404, Body("NOT_FOUND")).version_is_unusable);
}

TEST(GcpErrorTest, NothingOfTheMessageIsQuoted) {
  for (const int status : {400, 401, 403, 404, 409, 429, 500, 503}) {
    EXPECT_THAT(Of(status, Body("ABORTED")).status.ToString(), Not(HasSubstr("planted")));
    EXPECT_THAT(Of(status, "planted").status.ToString(), Not(HasSubstr("planted")));
  }
}

TEST(GcpErrorTest, RetryInfoCountsWhereThereIsNoHeader) {
  const Failure failure = Of(429, R"({"error":{"status":"RESOURCE_EXHAUSTED","details":[
              {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3s"}]}})");
  EXPECT_EQ(RetryAfter(failure.status), std::chrono::seconds(3));
}

}  // namespace
}  // namespace secretfs::providers::gcp
