// Watches: pushed changes, restarts.

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using Told = std::vector<std::string>;

class WatchTest : public CacheTest {
 protected:
  WatchTest() : CacheTest({.list = true, .watch = true, .batch_size = 20}) {
    StoreSettings settings;
    settings.watch_prefix = "app";
    store_ = AddStore("watched", provider_, settings);
  }
};

TEST_F(WatchTest, BeginsWithTheFirstMountOrListing) {
  Poll();
  EXPECT_EQ(provider_->running_watches(), 0u);
  const Interest first = Mount("app/a");
  const Interest second = Mount("app/b");
  EXPECT_EQ(provider_->watched_prefixes(), Told{"app"});
  std::shared_ptr<fakes::FakeProvider> listed;
  store_ = AddStore("listed", listed);
  List("");
  EXPECT_EQ(listed->running_watches(), 1u);
}

TEST_F(WatchTest, AChangeIsPublishedAtOnceAndTogether) {
  RecordingListener listener;
  for (const char* key : {"app/a", "app/b", "app/c"}) provider_->Set(key, "one");
  std::vector<Interest> interests;
  for (const char* key : {"app/a", "app/b", "app/c"}) {
    interests.push_back(Mount(key, {}, true, &listener));
    Read(key);
  }
  const size_t fetches = provider_->fetch_call_count();
  const size_t told = listener.calls.size();
  provider_->Set("app/a", "two");
  provider_->Set("app/c", "two");
  provider_->NotifyWatchers({.everything = false, .keys = {"app/a", "app/c", "app/unknown"}});
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), fetches + 1);
  ASSERT_EQ(listener.calls.size(), told + 1);
  EXPECT_EQ(listener.Told(told), (Told{"app/a=two", "app/c=two"}));
  cache().RemoveListener(&listener);
}

TEST_F(WatchTest, EverythingMeansAllThatWasAskedFor) {
  for (const char* key : {"app/a", "app/b", "app/c"}) provider_->Set(key, "one");
  const Interest a = Mount("app/a");
  const Interest b = Mount("app/b");
  const Interest never_read = Mount("app/c");
  Read("app/a");
  Read("app/b");
  provider_->NotifyWatchers({.everything = true, .keys = {}});
  Poll();
  EXPECT_EQ(provider_->fetches_of("app/a"), 2u);
  EXPECT_EQ(provider_->fetches_of("app/b"), 2u);
  EXPECT_EQ(provider_->fetches_of("app/c"), 0u);
}

TEST_F(WatchTest, AMissingSecretAppearsWhenItIsMade) {
  provider_->set_notify_on_change(true);
  const Interest interest = Mount("app/a");
  EXPECT_EQ(Read("app/a")->status().code(), absl::StatusCode::kNotFound);
  provider_->Set("app/a", "one");
  Poll();
  EXPECT_EQ(State(Known("app/a")), "fresh");
}

TEST_F(WatchTest, AValueThatNobodyMountedIsForgotten) {
  provider_->set_notify_on_change(true);
  const Interest keeps_the_watch = Mount("app/other");
  provider_->Set("app/a", "one");
  Read("app/a");
  provider_->Set("app/a", "two");
  Poll();
  EXPECT_EQ(provider_->fetches_of("app/a"), 1u);
  EXPECT_EQ(Text(Read("app/a")), "two");
}

TEST_F(WatchTest, AnIdleSecretIsNotFetchedButIsStale) {
  provider_->set_notify_on_change(true);
  Policy policy;
  policy.ttl = hours(1);
  policy.max_stale = hours(1000);
  provider_->Set("app/a", "one");
  const Interest interest = Mount("app/a", policy, false);
  Read("app/a");
  Advance(hours(20));
  const size_t fetches = provider_->fetch_call_count();
  provider_->Set("app/a", "two");
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), fetches);
  EXPECT_EQ(Text(Read("app/a")), "one");
  EXPECT_EQ(Text(Read("app/a")), "two");
}

TEST_F(WatchTest, AChangeDuringAFetchIsFetchedAgain) {
  provider_->set_notify_on_change(true);
  provider_->Set("app/a", "one");
  const Interest interest = Mount("app/a");
  Read("app/a");
  provider_->Hold();
  const PendingRead refresh = Refresh("app/a");
  provider_->Set("app/a", "two");
  Poll();
  provider_->Release();
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), 3u);
  EXPECT_EQ(Text(Known("app/a")), "two");
}

TEST_F(WatchTest, ADeletionIsConfirmedSoonAndThenWithdrawn) {
  provider_->set_notify_on_change(true);
  provider_->Set("app/a", "one");
  const Interest interest = Mount("app/a");
  Read("app/a");
  provider_->Remove("app/a");
  Poll();
  EXPECT_EQ(Text(Known("app/a")), "one");
  Advance(seconds(5));
  EXPECT_EQ(State(Known("app/a")), "gone");
}

TEST_F(WatchTest, ThatEndsIsStartedAgainWithBackoffAndCatchesUp) {
  provider_->Set("app/a", "one");
  const Interest interest = Mount("app/a");
  Read("app/a");
  provider_->EndWatches(absl::UnavailableError("connection reset"));
  Poll();
  EXPECT_EQ(provider_->running_watches(), 0u);
  provider_->Set("app/a", "two");
  Advance(milliseconds(99));
  EXPECT_EQ(provider_->running_watches(), 0u);
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->running_watches(), 1u);
  Advance(milliseconds(250));
  EXPECT_EQ(Text(Known("app/a")), "two");
}

TEST_F(WatchTest, OfADeadStoreIsTriedEverMoreRarelyAndCostsNothingElse) {
  provider_->Set("app/a", "one");
  Policy policy;
  policy.ttl = hours(100);
  const Interest interest = Mount("app/a", policy);
  Read("app/a");
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  provider_->EndWatches(absl::UnavailableError("down"));
  Advance(hours(1));
  const size_t watches = provider_->watched_prefixes().size();
  EXPECT_GT(watches, 60u);
  EXPECT_LT(watches, 180u);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(WatchTest, AStoreThatDoesNotWatchAfterAllIsNotAskedAgain) {
  provider_->FailCalls(absl::UnimplementedError("no watch here"), 1);
  const Interest interest = Mount("app/a");
  Advance(hours(1));
  EXPECT_EQ(provider_->watched_prefixes().size(), 1u);
}

}  // namespace
}  // namespace secretfs::cache
