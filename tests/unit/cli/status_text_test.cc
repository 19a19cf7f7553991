#include "cli/status_text.h"

#include <gtest/gtest.h>

namespace secretfs::cli {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(StatusTextTest, ShortDurationsUseTheLargestUnitThatFits) {
  EXPECT_EQ(ShortDuration(seconds(-5)), "0s");
  EXPECT_EQ(ShortDuration(std::chrono::milliseconds(1999)), "1s");
  EXPECT_EQ(ShortDuration(seconds(59)), "59s");
  EXPECT_EQ(ShortDuration(minutes(59)), "59m");
  EXPECT_EQ(ShortDuration(hours(47)), "47h");
  EXPECT_EQ(ShortDuration(hours(24 * 30)), "30d");
}

TEST(StatusTextTest, ShowsAMountWithItsFiles) {
  const WallTime now(hours(500'000));
  MountReport report{.status = {}, .pid = 77, .version = "1"};
  report.status.directory = "/home/dev/secrets";
  report.status.mounted_at = now - minutes(5);
  report.status.generation = 2;
  fs::FileStatus fresh;
  fresh.path = "db/password";
  fresh.state = cache::EntryState::kFresh;
  fresh.version = "3";
  fresh.fetched_at = now - seconds(12);
  fresh.next_refresh_at = now + seconds(48);
  fs::FileStatus overdue;
  overdue.path = "tls.key";
  overdue.state = cache::EntryState::kStale;
  overdue.next_refresh_at = now - seconds(1);
  overdue.error = "the server is sealed";
  report.status.files = {fresh, overdue};
  EXPECT_EQ(StatusText(report, now),
            "/home/dev/secrets: flat, mounted 5m ago by process 77, 2 files, 2 updates published\n"
            "  FILE         STATE  VERSION  AGE  NEXT REFRESH  ERROR\n"
            "  db/password  fresh  3        12s  in 48s        -\n"
            "  tls.key      stale  -        -    now           the server is sealed\n");
}

TEST(StatusTextTest, SaysWhatIsInFlightAndWhichServerThisIs) {
  MountReport report{.status = {}, .pid = 1, .version = "1"};
  report.status.directory = "/m";
  report.status.layout = fs::Layout::kAtomic;
  report.status.in_flight = {{.operation = "lookup", .age = std::chrono::seconds(7)},
                             {.operation = "open", .age = std::chrono::seconds(1)}};
  report.server_pid = 42;
  report.server_generation = 3;
  report.server_restarts = 1;
  EXPECT_EQ(StatusText(report, WallTime()),
            "/m: atomic, mounted 0s ago by process 1, 0 files, 0 updates published\n"
            "  server 3 is process 42, restarted 1 time\n"
            "  2 requests in flight, the oldest (lookup) for 7s\n");
}

}  // namespace
}  // namespace secretfs::cli
