#include "cli/control/control_protocol.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace secretfs::cli {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(std::string_view line) {
  const auto request = DecodeRequest(line);
  EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument) << line;
  return std::string(MessageOf(request.status()));
}

MountReport SomeReport() {
  MountReport report{.status = {}, .pid = 42, .version = "9.9"};
  report.status.directory = "/m";
  report.status.layout = fs::Layout::kAtomic;
  report.status.mounted_at = WallTime(std::chrono::seconds(1'764'000'000));
  report.status.generation = 3;
  report.status.requests = 17;
  report.status.parked_requests = 1;
  fs::FileStatus file;
  file.path = "a \"quoted\"\nname";
  file.store = "team";
  file.key = "app/db";
  file.version = "2";
  file.state = cache::EntryState::kStale;
  file.error = "sealed";
  file.fetched_at = WallTime(std::chrono::milliseconds(1'764'000'000'123));
  report.status.files.push_back(file);
  return report;
}

TEST(ControlProtocolTest, RequestsSurviveTheWay) {
  using Kind = ControlRequest::Kind;
  for (const ControlRequest& request :
       {ControlRequest{Kind::kStatus, ""}, ControlRequest{Kind::kUnmount, ""},
        ControlRequest{Kind::kRefresh, ""}, ControlRequest{Kind::kRefresh, "a\n\"b\"/ü"}}) {
    const std::string line = EncodeRequest(request);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto decoded = DecodeRequest(line);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, request);
  }
}

TEST(ControlProtocolTest, RefusesWhatItDoesNotUnderstand) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("JSON"));
  EXPECT_THAT(ErrorOf("status"), HasSubstr("JSON"));
  EXPECT_THAT(ErrorOf("[1]"), HasSubstr("JSON object"));
  EXPECT_THAT(ErrorOf("{\"request\":\"status\"}"), HasSubstr("no protocol number"));
  EXPECT_THAT(ErrorOf("{\"protocol\":\"1\",\"request\":\"status\"}"), HasSubstr("no protocol"));
  EXPECT_THAT(ErrorOf("{\"protocol\":2,\"request\":\"status\"}"), HasSubstr("speaks protocol 1"));
  EXPECT_THAT(ErrorOf("{\"protocol\":1}"), HasSubstr("unknown request"));
  EXPECT_THAT(ErrorOf("{\"protocol\":1,\"request\":\"reboot\"}"), HasSubstr("unknown request"));
  EXPECT_THAT(ErrorOf("{\"protocol\":1,\"request\":5}"), HasSubstr("'request' is not a string"));
  EXPECT_THAT(ErrorOf("{\"protocol\":1,\"request\":\"refresh\",\"path\":[]}"),
              HasSubstr("'path' is not a string"));
  // Deep nesting must end in an answer, not in a deep stack.
  EXPECT_THAT(ErrorOf(std::string(kLongestControlRequest, '[')), HasSubstr("JSON"));
}

TEST(ControlProtocolTest, FailuresKeepTheirCodeAndWords) {
  const auto decoded = DecodeResponse(
      EncodeResponse({.status = absl::NotFoundError("no file 'x'"), .report = std::nullopt}));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->status, absl::NotFoundError("no file 'x'"));
  EXPECT_FALSE(decoded->report.has_value());
}

TEST(ControlProtocolTest, UnknownCodesAreFailuresAllTheSame) {
  const auto decoded = DecodeResponse("{\"protocol\":1,\"ok\":false,\"code\":900,\"error\":\"x\"}");
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->status.code(), absl::StatusCode::kUnknown);
}

TEST(ControlProtocolTest, ReportsSurviveTheWay) {
  const MountReport sent = SomeReport();
  const auto decoded = DecodeResponse(EncodeResponse({.status = {}, .report = sent}));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_TRUE(decoded->status.ok());
  ASSERT_TRUE(decoded->report.has_value());
  const MountReport& got = *decoded->report;
  EXPECT_EQ(ReportToJson(got), ReportToJson(sent));
  EXPECT_EQ(got.pid, 42);
  EXPECT_EQ(got.status.layout, fs::Layout::kAtomic);
  ASSERT_EQ(got.status.files.size(), 1u);
  EXPECT_EQ(got.status.files[0].path, sent.status.files[0].path);
  EXPECT_EQ(got.status.files[0].state, cache::EntryState::kStale);
  EXPECT_EQ(got.status.files[0].fetched_at, sent.status.files[0].fetched_at);
  EXPECT_FALSE(got.status.files[0].expires_at.has_value());
}

TEST(ControlProtocolTest, NamesThatAreNotUtf8DoNotBreakTheAnswer) {
  MountReport report = SomeReport();
  report.status.files[0].path = "\xff\xfe";
  const auto decoded = DecodeResponse(EncodeResponse({.status = {}, .report = report}));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->report->status.files[0].path, "\xef\xbf\xbd\xef\xbf\xbd");
}

// The names that scripts rely on: they are added to, never changed.
TEST(ControlProtocolTest, FieldNamesOfStatusStay) {
  const nlohmann::json report = ReportToJson(SomeReport());
  for (const char* name : {"directory", "layout", "mountedAt", "generation", "requests",
                           "parkedRequests", "pid", "version", "files"}) {
    EXPECT_TRUE(report.contains(name)) << name;
  }
  for (const char* name : {"path", "store", "key", "version", "state", "error", "fetchedAt",
                           "expiresAt", "nextRefreshAt"}) {
    EXPECT_TRUE(report["files"][0].contains(name)) << name;
  }
  EXPECT_EQ(report["mountedAt"], "2025-11-24T16:00:00.000Z");
  EXPECT_TRUE(report["files"][0]["expiresAt"].is_null());
}

TEST(ControlProtocolTest, TimesThatAreNoneAreRefused) {
  EXPECT_TRUE(ParseTime("2026-11-24T15:04:05.123Z").has_value());
  EXPECT_FALSE(ParseTime("").has_value());
  EXPECT_FALSE(ParseTime("2026-11-24").has_value());
  EXPECT_FALSE(ParseTime("2026-11-24T15:04:05.123Zx").has_value());
}

}  // namespace
}  // namespace secretfs::cli
