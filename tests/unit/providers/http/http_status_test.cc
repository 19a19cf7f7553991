#include "providers/http/http_status.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Sun, 06 Nov 1994 08:49:37 GMT
const WallTime kNow{seconds(784111777)};

HttpResponse With(long status, const std::string& retry_after = "") {
  HttpResponse response;
  response.status = status;
  response.body = SecretBytes::CopyOf("planted body");
  if (!retry_after.empty()) response.headers.emplace("retry-after", retry_after);
  return response;
}

std::optional<milliseconds> RetryAfterOf(const std::string& text, long status = 503) {
  return RetryAfter(HttpStatus(With(status, text), "reading app/db", kNow));
}

TEST(HttpStatusTest, EveryStatusHasItsCode) {
  const std::pair<long, absl::StatusCode> table[] = {
      {200, absl::StatusCode::kOk},
      {204, absl::StatusCode::kOk},
      {299, absl::StatusCode::kOk},
      {304, absl::StatusCode::kFailedPrecondition},
      {400, absl::StatusCode::kInvalidArgument},
      {401, absl::StatusCode::kUnauthenticated},
      {403, absl::StatusCode::kPermissionDenied},
      {404, absl::StatusCode::kNotFound},
      {405, absl::StatusCode::kInvalidArgument},
      {408, absl::StatusCode::kDeadlineExceeded},
      {409, absl::StatusCode::kAborted},
      {410, absl::StatusCode::kNotFound},
      {412, absl::StatusCode::kAborted},
      {429, absl::StatusCode::kResourceExhausted},
      {500, absl::StatusCode::kUnavailable},
      {502, absl::StatusCode::kUnavailable},
      {503, absl::StatusCode::kUnavailable},
      {504, absl::StatusCode::kDeadlineExceeded},
      {599, absl::StatusCode::kUnavailable},
  };
  for (const auto& [status, code] : table) {
    EXPECT_EQ(HttpStatus(With(status), "x", kNow).code(), code) << status;
  }
}

TEST(HttpStatusTest, TheMessageNamesTheRequestAndNotTheBody) {
  EXPECT_EQ(MessageOf(HttpStatus(With(403), "reading app/db", kNow)),
            "reading app/db: the server answered 403 (permission denied)");
  EXPECT_EQ(MessageOf(HttpStatus(With(418), "reading app/db", kNow)),
            "reading app/db: the server answered 418");
}

TEST(HttpStatusTest, RetryAfterInSeconds) {
  EXPECT_EQ(RetryAfterOf("0"), milliseconds(0));
  EXPECT_EQ(RetryAfterOf("120"), seconds(120));
  EXPECT_EQ(RetryAfterOf("7", 429), seconds(7));
  EXPECT_EQ(RetryAfterOf("99999999999999999999999999"), std::chrono::hours(24));
}

TEST(HttpStatusTest, RetryAfterAsADateInAllThreeForms) {
  EXPECT_EQ(RetryAfterOf("Sun, 06 Nov 1994 08:49:47 GMT"), seconds(10));
  EXPECT_EQ(RetryAfterOf("Sunday, 06-Nov-94 08:49:47 GMT"), seconds(10));
  EXPECT_EQ(RetryAfterOf("Sun Nov  6 08:49:47 1994"), seconds(10));
  EXPECT_EQ(RetryAfterOf("Sun, 06 Nov 1994 08:49:27 GMT"), milliseconds(0)) << "in the past";
  EXPECT_EQ(RetryAfterOf("Mon, 06 Nov 2034 08:49:27 GMT"), std::chrono::hours(24));
}

TEST(HttpStatusTest, RetryAfterThatIsNeitherIsIgnored) {
  for (const char* text : {"soon", "-5", "+5", "1.5", "5s", "Sun, 99 Nov 1994"}) {
    EXPECT_EQ(RetryAfterOf(text), std::nullopt) << text;
  }
  EXPECT_EQ(RetryAfterOf(""), std::nullopt);
}

}  // namespace
}  // namespace secretfs::providers
