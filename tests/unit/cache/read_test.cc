// Reads: one fetch for all, states, deadlines, errors.

#include <algorithm>

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using ReadTest = CacheTest;

TEST_F(ReadTest, NothingIsFetchedUntilSomebodyReads) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a");
  Advance(hours(1));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(State(Known("a")), "absent");
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(ReadTest, TheCallbackNeverRunsInsideTheCall) {
  provider_->Set("a", "one");
  Read("a");
  const PendingRead hit = StartRead(Key("a"));
  EXPECT_TRUE(hit->waits());
  Poll();
  EXPECT_EQ(Text(hit), "one");
  EXPECT_EQ(hit->calls, 1);
}

TEST_F(ReadTest, AnyNumberOfReadersAndMountsShareOneFetch) {
  provider_->Set("a", "one");
  provider_->Hold();
  std::vector<Interest> mounts;
  for (int i = 0; i < 50; ++i) mounts.push_back(Mount("a"));
  std::vector<PendingRead> reads;
  for (int i = 0; i < 200; ++i) reads.push_back(Read("a"));
  EXPECT_EQ(State(Known("a")), "fetching");
  provider_->Release();
  Poll();
  for (const PendingRead& read : reads) {
    EXPECT_EQ(Text(read), "one");
    EXPECT_EQ(read->calls, 1);
  }
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(Known("a").fetches, 1u);
}

TEST_F(ReadTest, AFreshValueIsServedWithoutAsking) {
  provider_->Set("a", "one");
  Read("a");
  provider_->Set("a", "two");
  Advance(seconds(50));
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(ReadTest, TheSnapshotSaysWhenInWallTime) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {.ttl = seconds(100)});
  const WallTime before = clock_.WallNow();
  const EntrySnapshot snapshot = **Read("a")->result;
  EXPECT_EQ(State(snapshot), "fresh");
  EXPECT_EQ(snapshot.fetched_at, before);
  EXPECT_EQ(snapshot.expires_at, before + seconds(100));
  EXPECT_EQ(snapshot.next_refresh_at, before + seconds(95));
  EXPECT_TRUE(snapshot.last_error.ok());
  EXPECT_EQ(snapshot.fetches, 1u);
}

TEST_F(ReadTest, TwoIdentitiesNeverShareAnEntry) {
  auto other = std::make_shared<fakes::FakeProvider>();
  const StoreId other_store =
      cache().AddStore({.name = "vault", .identity = "somebody else", .provider = other});
  EXPECT_NE(other_store, store_);
  provider_->Set("a", "mine");
  other->Set("a", "theirs");
  EXPECT_EQ(Text(Read("a")), "mine");
  EXPECT_EQ(Text(Read(EntryKey{other_store, {"a", ""}})), "theirs");
}

TEST_F(ReadTest, TheSameStoreAndIdentityIsOneStore) {
  const StoreId again = cache().AddStore(
      {.name = "vault", .identity = "me", .provider = std::make_shared<fakes::FakeProvider>()});
  EXPECT_EQ(again, store_);
  EXPECT_EQ(cache().StoreName(again), "vault");
  EXPECT_TRUE(cache().StoreCapabilities(again).list);
}

TEST_F(ReadTest, AVersionIsAnEntryOfItsOwn) {
  provider_->Set("a", "one");
  provider_->Set("a", "two");
  EXPECT_EQ(Text(Read(Key("a"))), "two");
  EXPECT_EQ(Text(Read(Key("a", "1"))), "one");
  EXPECT_EQ(Read(Key("a", "9"))->status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ReadTest, AnUnknownStoreIsAnError) {
  const PendingRead read = Read(EntryKey{StoreId(77), {"a", ""}});
  EXPECT_EQ(read->status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ReadTest, NotFoundIsRememberedForTheNegativeTtl) {
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kNotFound);
  provider_->Set("a", "one");
  Advance(seconds(4));
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(seconds(2));
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(ReadTest, ADenialIsRememberedForTheNegativeTtl) {
  provider_->Set("a", "one");
  provider_->Fail("a", absl::PermissionDeniedError("no"), 1);
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(seconds(6));
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(ReadTest, AReaderGetsDeadlineExceededWithTheStoresLastError) {
  provider_->Set("a", "one");
  provider_->Fail("a", absl::UnavailableError("connection refused"), fakes::FakeProvider::kForever);
  const Interest interest = Mount("a", {.deadline = seconds(3)});
  const PendingRead read = Read("a");
  Advance(milliseconds(2900));
  EXPECT_TRUE(read->waits());
  Advance(milliseconds(200));
  EXPECT_EQ(read->status().code(), absl::StatusCode::kDeadlineExceeded);
  const std::string message = read->status().ToString();
  EXPECT_NE(message.find("\"vault\""), std::string::npos) << message;
  EXPECT_NE(message.find("connection refused"), std::string::npos) << message;
}

TEST_F(ReadTest, AReaderOfASilentStoreIsNotHeldPastItsDeadlineAndOthersAreUnaffected) {
  provider_->Set("slow", "one");
  provider_->Set("quick", "two");
  provider_->HoldKey("slow");
  const PendingRead slow = Read("slow");
  EXPECT_EQ(Text(Read("quick")), "two");
  Advance(seconds(10));
  EXPECT_EQ(slow->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(slow->calls, 1);
}

TEST_F(ReadTest, ACallThatTheProviderDoesNotEndIsCutOff) {
  provider_->Set("a", "one");
  provider_->HoldKey("a");
  Read("a");
  EXPECT_EQ(provider_->held(), 1u);
  Advance(seconds(11));
  EXPECT_EQ(provider_->cancelled(), 1u);
  EXPECT_EQ(provider_->held(), 0u);
}

TEST_F(ReadTest, TheStrictestInterestsDeadlineCounts) {
  provider_->HoldKey("a");
  const Interest patient = Mount("a", {.deadline = seconds(60)});
  const Interest hasty = Mount("a", {.deadline = seconds(2)});
  const PendingRead read = Read("a");
  Advance(seconds(2));
  EXPECT_EQ(read->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ReadTest, ATransientFailureIsRetriedForAReaderWhoWaits) {
  provider_->Set("a", "one");
  provider_->Fail("a", absl::UnavailableError("down"), 3);
  const PendingRead read = Read("a");
  EXPECT_TRUE(read->waits());
  // Half of 200 ms, 400 ms and 800 ms.
  Advance(milliseconds(99));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  Advance(milliseconds(200));
  EXPECT_EQ(provider_->fetch_call_count(), 3u);
  EXPECT_TRUE(read->waits());
  Advance(milliseconds(400));
  EXPECT_EQ(Text(read), "one");
  EXPECT_EQ(provider_->fetch_call_count(), 4u);
}

TEST_F(ReadTest, RetryAfterIsHonoured) {
  provider_->Set("a", "one");
  absl::Status busy = absl::ResourceExhaustedError("slow down");
  SetRetryAfter(busy, seconds(4));
  provider_->Fail("a", busy, 1);
  const PendingRead read = Read("a");
  Advance(milliseconds(3900));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(milliseconds(200));
  EXPECT_EQ(Text(read), "one");
}

TEST_F(ReadTest, AnAnswerThatIsNoOutageIsGivenAtOnce) {
  provider_->Fail("a", absl::InvalidArgumentError("a key may not have blanks"), 1);
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(ReadTest, RefreshAsksWhateverTheState) {
  provider_->Set("a", "one");
  Read("a");
  provider_->Set("a", "two");
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(Text(Refresh("a")), "two");
  EXPECT_EQ(Text(Read("a")), "two");
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(ReadTest, RefreshDoesNotTakeTheAnswerOfAQuestionAskedBefore) {
  provider_->Set("a", "one");
  provider_->Hold();
  const PendingRead read = Read("a");
  const PendingRead refresh = Refresh("a");
  provider_->Release();
  Poll();
  EXPECT_TRUE(read->ok());
  EXPECT_TRUE(refresh->ok());
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

TEST_F(ReadTest, RefreshGivesTheCachedValueAndTheErrorWhileTheStoreIsDown) {
  provider_->Set("a", "one");
  Read("a");
  provider_->Fail("a", absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  const PendingRead refresh = Refresh("a");
  EXPECT_EQ(Text(refresh), "one");
  EXPECT_EQ((*refresh->result)->last_error.code(), absl::StatusCode::kUnavailable);
}

TEST_F(ReadTest, PrefetchFetchesWhatIsAbsentAndReadsSeeIt) {
  provider_->Set("a", "one");
  provider_->Set("b", "two");
  Read("a");
  cache().Prefetch({Key("a"), Key("b")});
  Poll();
  EXPECT_EQ(provider_->fetches_of("a"), 1u);
  EXPECT_EQ(provider_->fetches_of("b"), 1u);
  EXPECT_EQ(Text(Read("b")), "two");
  EXPECT_EQ(provider_->fetches_of("b"), 1u);
}

TEST_F(ReadTest, CountsEveryFetchFailedOnesIncluded) {
  provider_->Set("a", "one");
  provider_->Fail("a", absl::UnavailableError("down"), 2);
  const Interest interest = Mount("a");
  Read("a");
  Advance(milliseconds(100));
  EXPECT_EQ(Known("a").fetches, 2u);
  EXPECT_EQ(Known("a").failures_in_a_row, 2u);
  Advance(seconds(1));
  EXPECT_EQ(Known("a").fetches, 3u);
  EXPECT_EQ(Known("a").failures_in_a_row, 0u);
}

}  // namespace
}  // namespace secretfs::cache
