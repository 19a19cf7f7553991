// Refreshing in the background: what is refreshed, when, and what readers get meanwhile.

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

Policy WithTtl(Duration ttl) {
  Policy policy;
  policy.ttl = ttl;
  return policy;
}

using RefreshTest = CacheTest;

TEST_F(RefreshTest, AMountedSecretThatWasReadIsRefreshedBeforeItsTtlEnds) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Set("a", "two");
  Advance(milliseconds(94'999));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(Text(Read("a")), "two");
  EXPECT_EQ(State(Known("a")), "fresh");
}

TEST_F(RefreshTest, JitterIsAtMostATenthOfTheTtl) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  random_.Set(0);
  Read("a");
  EXPECT_EQ(*Known("a").next_refresh_at, clock_.WallNow() + seconds(100));
  random_.Set(0.999);
  Refresh("a");
  EXPECT_GE(*Known("a").next_refresh_at, clock_.WallNow() + seconds(90));
  EXPECT_LT(*Known("a").next_refresh_at, clock_.WallNow() + seconds(91));
}

TEST_F(RefreshTest, EachTtlCostsOneRequestWhateverTheNumberOfMounts) {
  provider_->Set("a", "one");
  std::vector<Interest> mounts;
  for (int i = 0; i < 1000; ++i)
    mounts.push_back(cache().AddInterest(Key("a"), WithTtl(seconds(100)), true, nullptr));
  Read("a");
  Advance(seconds(95 * 10));
  EXPECT_EQ(provider_->fetch_call_count(), 11u);
}

TEST_F(RefreshTest, WithoutAMountNothingIsRefreshed) {
  provider_->Set("a", "one");
  Read("a");
  Advance(hours(2));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(clock_.pending_timers(), 0u);
}

TEST_F(RefreshTest, AnUnmountedSecretIsNotRefreshedAnyMore) {
  provider_->Set("a", "one");
  {
    const Interest interest = Mount("a");
    Read("a");
  }
  Advance(hours(2));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(KnownEntries(), 0u);
}

TEST_F(RefreshTest, AnUnpinnedSecretThatNobodyReadsIsLeftAloneAfterTenTtls) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)), false);
  Read("a");
  Advance(hours(5));
  const size_t fetches = provider_->fetch_call_count();
  EXPECT_GE(fetches, 10u);
  EXPECT_LE(fetches, 12u);
  // A reader brings it back.
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(seconds(95));
  EXPECT_EQ(provider_->fetch_call_count(), fetches + 2);
}

TEST_F(RefreshTest, APinnedSecretIsRefreshedForEver) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)), true);
  Read("a");
  Advance(seconds(95 * 100));
  EXPECT_EQ(provider_->fetch_call_count(), 101u);
}

TEST_F(RefreshTest, TheStricterOfTwoMountsPoliciesCounts) {
  provider_->Set("a", "one");
  const Interest slow = Mount("a", WithTtl(seconds(1000)));
  Read("a");
  {
    const Interest quick = Mount("a", WithTtl(seconds(10)));
    Advance(milliseconds(9500));
    EXPECT_EQ(provider_->fetch_call_count(), 2u);
  }
  Advance(seconds(500));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(RefreshTest, AStaleValueIsServedWhileTheRefreshRuns) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Set("a", "two");
  provider_->Hold();
  Advance(seconds(101));
  const PendingRead read = Read("a");
  EXPECT_EQ(Text(read), "one");
  EXPECT_EQ(State(**read->result), "stale");
  provider_->Release();
  Poll();
  EXPECT_EQ(Text(Read("a")), "two");
}

TEST_F(RefreshTest, AStaleReadWithoutAMountAsksOnce) {
  provider_->Set("a", "one");
  Read("a");
  provider_->Set("a", "two");
  Advance(seconds(61));
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(Text(Read("a")), "two");
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(RefreshTest, AfterMaxStaleReadersWaitForTheStore) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.max_stale = seconds(50);
  const Interest interest = Mount("a", policy, false);
  Read("a");
  Advance(hours(1));  // idle by now
  EXPECT_EQ(State(Known("a")), "expired");
  EXPECT_EQ(Known("a").secret, nullptr);
  provider_->Set("a", "two");
  provider_->Hold();
  const PendingRead read = Read("a");
  EXPECT_TRUE(read->waits());
  provider_->Release();
  Poll();
  EXPECT_EQ(Text(read), "two");
}

TEST_F(RefreshTest, AnExpiredValueIsServedWhileTheStoreIsDownUntilStaleIfErrorEnds) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.max_stale = seconds(50);
  policy.stale_if_error = seconds(1000);
  const Interest interest = Mount("a", policy);
  Read("a");
  provider_->Fail("a", absl::UnavailableError("down"), kForever);
  Advance(seconds(120));
  EXPECT_EQ(State(Known("a")), "stale");
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(seconds(40));
  EXPECT_EQ(State(Known("a")), "expired");
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(seconds(930));
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(seconds(20));
  EXPECT_EQ(State(Known("a")), "gone");
  EXPECT_FALSE(Read("a")->ok());
  provider_->Heal();
  Advance(minutes(2));
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(RefreshTest, AFailureThatIsNoAnswerKeepsAnExpiredValue) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.max_stale = seconds(50);
  policy.stale_if_error = seconds(1000);
  const Interest interest = Mount("a", policy);
  Read("a");
  for (const absl::Status& failure :
       {absl::FailedPreconditionError("the certificate has expired"),
        absl::DataLossError("the file is damaged"), absl::OutOfRangeError("too large")}) {
    provider_->Fail("a", failure, kForever);
    Advance(seconds(200));
    EXPECT_EQ(State(Known("a")), "expired") << failure;
    EXPECT_EQ(Text(Read("a")), "one") << failure;
    provider_->Heal();
    Advance(seconds(200));
    EXPECT_EQ(State(Known("a")), "fresh");
  }
}

TEST_F(RefreshTest, StaleIfErrorZeroMeansNever) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.max_stale = seconds(50);
  policy.stale_if_error = seconds(0);
  const Interest interest = Mount("a", policy);
  Read("a");
  provider_->Fail("a", absl::UnavailableError("down"), kForever);
  Advance(seconds(151));
  EXPECT_EQ(State(Known("a")), "gone");
  EXPECT_EQ(Known("a").secret, nullptr);
}

TEST_F(RefreshTest, AnExpiredValueIsServedAtTheDeadlineOfASilentStore) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {}, false);
  Read("a");
  Advance(hours(1));
  ASSERT_EQ(State(Known("a")), "expired");
  provider_->Hold();
  const PendingRead read = Read("a");
  Advance(seconds(9));
  EXPECT_TRUE(read->waits());
  Advance(seconds(1));
  EXPECT_EQ(Text(read), "one");
}

TEST_F(RefreshTest, AFailedRefreshIsRetriedWithBackoffAndReadersDoNotNotice) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Fail("a", absl::UnavailableError("down"), 3);
  Advance(seconds(95));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(milliseconds(100));
  EXPECT_EQ(provider_->fetch_call_count(), 3u);
  Advance(milliseconds(200));
  EXPECT_EQ(provider_->fetch_call_count(), 4u);
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(milliseconds(400));
  EXPECT_EQ(provider_->fetch_call_count(), 5u);
  EXPECT_TRUE(Known("a").last_error.ok());
}

TEST_F(RefreshTest, APinnedSecretThatNeverCameAppearsByItselfWhenTheStoreComesBack) {
  RecordingListener listener;
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {}, true, &listener);
  const PendingRead read = Read("a");
  Advance(minutes(10));
  EXPECT_EQ(read->status().code(), absl::StatusCode::kDeadlineExceeded);
  provider_->Heal();
  Advance(minutes(1));
  ASSERT_FALSE(listener.calls.empty());
  EXPECT_EQ(listener.Told(listener.calls.size() - 1), std::vector<std::string>{"a=one"});
  cache().RemoveListener(&listener);
}

TEST_F(RefreshTest, ASecretThatIsMissingIsLookedForOnceATtl) {
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  Advance(seconds(94));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  provider_->Set("a", "one");
  Advance(seconds(1));
  EXPECT_EQ(State(Known("a")), "fresh");
}

TEST_F(RefreshTest, AMissingSecretIsLookedForHourlyEvenIfItsTtlIsForEver) {
  const Interest interest = Mount("a", WithTtl(Duration::max()));
  Read("a");
  provider_->Set("a", "one");
  Advance(hours(1));
  EXPECT_EQ(State(Known("a")), "fresh");
  Advance(hours(1000));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(RefreshTest, AnEqualVersionKeepsTheObjectAndMovesTheTimes) {
  RecordingListener listener;
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)), true, &listener);
  const providers::SecretPtr first = (*Read("a")->result)->secret;
  const WallTime fetched = clock_.WallNow();
  ASSERT_EQ(listener.calls.size(), 1u);
  Advance(seconds(95));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(Known("a").secret, first);
  EXPECT_EQ(Known("a").fetched_at, fetched + seconds(95));
  EXPECT_EQ(Known("a").expires_at, fetched + seconds(195));
  // Told, so that what status shows moves on too.
  ASSERT_EQ(listener.calls.size(), 2u);
  EXPECT_EQ(listener.calls[1].front().secret, first);
  EXPECT_EQ(listener.calls[1].front().fetched_at, fetched + seconds(95));
  cache().RemoveListener(&listener);
}

TEST_F(RefreshTest, TheStoresOwnTimeToLiveWinsWhenItIsShorter) {
  provider_->Set(
      "a", "one",
      {.version = "", .fields = {}, .changed_at = {}, .time_to_live = seconds(20), .lease = {}});
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  EXPECT_EQ(Known("a").expires_at, clock_.WallNow() + seconds(20));
  Advance(seconds(19));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(RefreshTest, ADeletedSecretIsWithdrawnWhenOneMoreRefreshConfirmsIt) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Remove("a");
  Advance(seconds(95));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(milliseconds(4999));
  EXPECT_EQ(Text(Read("a")), "one");
  Advance(milliseconds(1));
  EXPECT_EQ(State(Known("a")), "gone");
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(provider_->fetch_call_count(), 3u);
}

TEST_F(RefreshTest, ADeletionThatTheNextRefreshDoesNotConfirmIsForgotten) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Fail("a", absl::NotFoundError("a replica that lags"), 1);
  Advance(seconds(101));
  EXPECT_EQ(State(Known("a")), "fresh");
  provider_->Fail("a", absl::NotFoundError("again"), 1);
  Advance(seconds(97));
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(RefreshTest, ADeletedSecretStaysReadableForItsGrace) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.max_stale = seconds(10);
  policy.grace_on_delete = seconds(1000);
  const Interest interest = Mount("a", policy);
  Read("a");
  provider_->Remove("a");
  Advance(seconds(95));
  Advance(seconds(999));
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(State(Known("a")), "stale");
  Advance(seconds(1));
  EXPECT_EQ(State(Known("a")), "gone");
}

TEST_F(RefreshTest, AGraceOfZeroWithdrawsAtOnce) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.grace_on_delete = seconds(0);
  const Interest interest = Mount("a", policy);
  Read("a");
  provider_->Remove("a");
  Advance(seconds(95));
  EXPECT_EQ(State(Known("a")), "gone");
}

TEST_F(RefreshTest, ADeniedSecretIsWithdrawnAtOnce) {
  provider_->Set("a", "one");
  Policy policy = WithTtl(seconds(100));
  policy.grace_on_delete = hours(1);
  const Interest interest = Mount("a", policy);
  Read("a");
  provider_->Fail("a", absl::PermissionDeniedError("no more"), kForever);
  Advance(seconds(95));
  EXPECT_EQ(State(Known("a")), "gone");
  EXPECT_EQ(Known("a").secret, nullptr);
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(RefreshTest, AWithdrawnSecretComesBackWithTheStoresAnswer) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(100)));
  Read("a");
  provider_->Fail("a", absl::PermissionDeniedError("no more"), 1);
  Advance(seconds(95));
  ASSERT_EQ(State(Known("a")), "gone");
  Advance(seconds(95));
  EXPECT_EQ(State(Known("a")), "fresh");
}

TEST_F(RefreshTest, ATtlOfZeroIsNotABusyLoop) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", WithTtl(seconds(0)));
  Read("a");
  Advance(seconds(1));
  EXPECT_LE(provider_->fetch_call_count(), 101u);
}

TEST_F(RefreshTest, VeryLongTimesDoNotOverflow) {
  provider_->Set("a", "one");
  Policy policy;
  policy.ttl = Duration::max();
  policy.max_stale = Duration::max();
  policy.stale_if_error = Duration::max();
  policy.negative_ttl = Duration::max();
  const Interest interest = Mount("a", policy, false);
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(State(Known("a")), "fresh");
  Advance(hours(24 * 365));
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

}  // namespace
}  // namespace secretfs::cache
