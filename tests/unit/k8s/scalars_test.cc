#include "k8s/manifest/scalars.h"

#include <gtest/gtest.h>

namespace secretfs::k8s {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Scalars, Durations) {
  const std::vector<std::pair<std::string, Duration>> table{
      {"0", seconds(0)},
      {"0s", seconds(0)},
      {"30s", seconds(30)},
      {"1h30m", minutes(90)},
      {"500ms", milliseconds(500)},
      {"1.5h", minutes(90)},
      {"250us", microseconds(250)},
      {"7d", hours(168)},
      {"1h0m0s", hours(1)},
      {"3650d", kLongestDuration},
  };
  for (const auto& [text, duration] : table) EXPECT_EQ(ParseDuration(text), duration) << text;
}

TEST(Scalars, NoDurations) {
  for (const char* text :
       {"", "30", "s", "-1s", "1 s", "1h 30m", "1x", "1.2.3s", "inf", "nan", "1e9s", "3651d",
        "999999999999999999999999h", "0x10s", ".", "PT30S", "30S"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Scalars, OctalModes) {
  EXPECT_EQ(ParseOctalMode("0400"), mode_t{0400});
  EXPECT_EQ(ParseOctalMode("400"), mode_t{0400});
  EXPECT_EQ(ParseOctalMode("0o644"), mode_t{0644});
  EXPECT_EQ(ParseOctalMode("0"), mode_t{0});
  for (const char* text : {"", "0o", "01000", "0888", "-1", "+400", "0x100", "4 00", "rw-"}) {
    EXPECT_EQ(ParseOctalMode(text), std::nullopt) << text;
  }
}

TEST(Scalars, PathsBelowTheMount) {
  for (const char* path : {"a", "a/b/c", ".hidden", "a..b", "a b", "ä\n'\"\\*"}) {
    EXPECT_EQ(PathProblem(path), std::nullopt) << path;
  }
  EXPECT_EQ(PathProblem(std::string(255, 'a')), std::nullopt);
}

TEST(Scalars, PathsThatLeaveTheMountOrAreNone) {
  for (const char* path : {"", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "a/./b",
                           "a//b", "a/", "..data", "a/..b"}) {
    EXPECT_NE(PathProblem(path), std::nullopt) << path;
  }
  EXPECT_NE(PathProblem(std::string(256, 'a')), std::nullopt);
  EXPECT_NE(PathProblem(std::string("a\0b", 3)), std::nullopt);
  std::string deep = "a";
  while (deep.size() < 5000) deep += "/a";
  EXPECT_NE(PathProblem(deep), std::nullopt);
}

}  // namespace
}  // namespace secretfs::k8s
