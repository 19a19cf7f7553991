#include "cache/store_gate.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "cache/backoff.h"

namespace secretfs::cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const absl::Status kDown = absl::UnavailableError("down");

class StoreGateTest : public ::testing::Test {
 protected:
  void Fail(MonotonicTime started, MonotonicTime ended) {
    gate_.Started(started);
    gate_.Finished(ended, started, kDown, 0.5);
  }
  StoreGate gate_{{.concurrent_requests = 4,
                   .requests_per_second = 0,
                   .breaker_failures = 3,
                   .backoff_first = milliseconds(200),
                   .backoff_most = seconds(60)}};
  MonotonicTime now_{std::chrono::hours(1)};
};

TEST_F(StoreGateTest, FailuresSideBySideCountOnce) {
  for (int i = 0; i < 4; ++i) gate_.Started(now_);
  for (int i = 0; i < 4; ++i) gate_.Finished(now_ + milliseconds(5), now_, kDown, 0.5);
  EXPECT_FALSE(gate_.broken());
}

TEST_F(StoreGateTest, FailuresOneAfterTheOtherBreakIt) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(gate_.broken());
    Fail(now_, now_ + milliseconds(5));
    now_ += milliseconds(10);
  }
  EXPECT_TRUE(gate_.broken());
  EXPECT_FALSE(gate_.Ask(now_).admitted);
}

TEST_F(StoreGateTest, AnAnswerInBetweenStartsTheCountAgain) {
  for (int i = 0; i < 10; ++i) {
    Fail(now_, now_);
    Fail(now_, now_);
    gate_.Started(now_);
    gate_.Finished(now_, now_, absl::NotFoundError("an answer"), 0.5);
  }
  EXPECT_FALSE(gate_.broken());
}

TEST_F(StoreGateTest, ProbesComeEverMoreRarely) {
  for (int i = 0; i < 3; ++i) Fail(now_, now_);
  std::vector<Duration> waits;
  for (int i = 0; i < 4; ++i) {
    const StoreGate::Admission admission = gate_.Ask(now_);
    ASSERT_TRUE(admission.at.has_value());
    waits.push_back(*admission.at - now_);
    now_ = *admission.at;
    ASSERT_TRUE(gate_.ProbeDueAt(now_));
    Fail(now_, now_);
  }
  EXPECT_EQ(waits, (std::vector<Duration>{milliseconds(100), milliseconds(200), milliseconds(400),
                                          milliseconds(800)}));
}

TEST_F(StoreGateTest, OneProbeAtATimeAndItsSuccessReportsTheRecovery) {
  for (int i = 0; i < 3; ++i) Fail(now_, now_);
  now_ += seconds(1);
  ASSERT_TRUE(gate_.Ask(now_).admitted);
  gate_.Started(now_);
  EXPECT_FALSE(gate_.Ask(now_).admitted);
  EXPECT_FALSE(gate_.Ask(now_).at.has_value());
  EXPECT_TRUE(gate_.Finished(now_, now_, absl::OkStatus(), 0.5));
  EXPECT_TRUE(gate_.Ask(now_).admitted);
}

TEST_F(StoreGateTest, ALateFailureOfAnOlderRequestIsNotTheProbes) {
  const MonotonicTime early = now_;
  gate_.Started(early);
  now_ += seconds(1);
  for (int i = 0; i < 3; ++i) Fail(now_, now_);
  now_ += seconds(1);
  gate_.Started(now_);  // the probe
  gate_.Finished(now_, early, kDown, 0.5);
  EXPECT_FALSE(gate_.Ask(now_ + seconds(100)).admitted) << "the probe still runs";
}

TEST_F(StoreGateTest, APauseIsBounded) {
  absl::Status busy = absl::ResourceExhaustedError("come back next year");
  SetRetryAfter(busy, std::chrono::hours(24 * 365));
  gate_.Started(now_);
  gate_.Finished(now_, now_, busy, 0.5);
  EXPECT_EQ(gate_.Ask(now_).at, now_ + std::chrono::hours(1));
}

TEST(StoreGateTokens, AreRefilledOverTimeUpToASecondsWorth) {
  StoreGate gate({.concurrent_requests = 100,
                  .requests_per_second = 10,
                  .breaker_failures = 3,
                  .backoff_first = milliseconds(1),
                  .backoff_most = milliseconds(1)});
  MonotonicTime now{std::chrono::hours(1)};
  const auto burst = [&] {
    int sent = 0;
    while (gate.Ask(now).admitted) {
      gate.Started(now);
      gate.Finished(now, now, absl::OkStatus(), 0.5);
      ++sent;
    }
    return sent;
  };
  EXPECT_EQ(burst(), 10);
  EXPECT_EQ(gate.Ask(now).at, now + milliseconds(100));
  now += milliseconds(100);
  EXPECT_EQ(burst(), 1);
  now += milliseconds(350);
  EXPECT_EQ(burst(), 3);
  now += std::chrono::hours(1);
  EXPECT_EQ(burst(), 10);
}

TEST(BackoffDelay, DoublesWithFullJitterUpToTheMost) {
  const auto delay = [](int failures, double uniform) {
    return BackoffDelay(failures, milliseconds(200), seconds(60), uniform);
  };
  EXPECT_EQ(delay(1, 0.5), milliseconds(100));
  EXPECT_EQ(delay(2, 0.5), milliseconds(200));
  EXPECT_EQ(delay(5, 0.25), milliseconds(800));
  EXPECT_EQ(delay(100, 0.5), seconds(30));
  EXPECT_EQ(delay(1'000'000, 0.999), milliseconds(59'940));
}

TEST(BackoffDelay, IsNeverABusyLoop) {
  EXPECT_EQ(BackoffDelay(1, milliseconds(200), seconds(60), 0.0), milliseconds(20));
  EXPECT_EQ(BackoffDelay(9, milliseconds(200), seconds(60), 0.0), milliseconds(20));
}

}  // namespace
}  // namespace secretfs::cache
