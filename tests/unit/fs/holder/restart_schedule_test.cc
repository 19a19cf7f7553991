#include "fs/holder/restart_schedule.h"

#include <gtest/gtest.h>

#include "tests/fakes/manual_clock.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RestartScheduleTest : public ::testing::Test {
 protected:
  Duration DelayAfter(Duration lived, bool was_ready) {
    schedule_.OnStart(clock_.Now());
    clock_.Advance(lived);
    last_ = schedule_.OnDeath(clock_.Now(), was_ready);
    return last_.delay;
  }

  fakes::ManualClock clock_;
  RestartSchedule schedule_;
  RestartSchedule::Verdict last_;
};

TEST_F(RestartScheduleTest, ServerThatServedIsFollowedAtOnce) {
  EXPECT_EQ(DelayAfter(seconds(60), true), Duration::zero());
  EXPECT_EQ(DelayAfter(milliseconds(100), true), Duration::zero());
}

TEST_F(RestartScheduleTest, StartsAreApart) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(DelayAfter(milliseconds(30), true), milliseconds(70));
}

TEST_F(RestartScheduleTest, NeverReadyDoublesUpToFiveSeconds) {
  for (const int expected : {100, 200, 400, 800, 1600, 3200, 5000, 5000}) {
    EXPECT_EQ(DelayAfter(seconds(1), false), milliseconds(expected));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(DelayAfter(seconds(1), false), seconds(5));
  // One that served begins anew.
  DelayAfter(seconds(1), true);
  EXPECT_EQ(DelayAfter(seconds(1), false), milliseconds(100));
}

TEST_F(RestartScheduleTest, ThreeDeathsInTenSecondsAreLoud) {
  DelayAfter(seconds(60), true);
  EXPECT_FALSE(last_.loud);
  DelayAfter(seconds(5), true);
  EXPECT_FALSE(last_.loud);
  DelayAfter(seconds(5), true);
  EXPECT_TRUE(last_.loud);
  EXPECT_EQ(last_.deaths_lately, 3);
  DelayAfter(seconds(1), true);
  EXPECT_TRUE(last_.loud);
  DelayAfter(seconds(11), true);
  EXPECT_FALSE(last_.loud);
  EXPECT_EQ(last_.deaths_lately, 1);
}

}  // namespace
}  // namespace secretfs::fs
