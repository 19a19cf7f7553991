// Requests to one store: batches, order, limits, breaker.

#include <gmock/gmock.h>

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using ::testing::UnorderedElementsAre;

class BatchTest : public CacheTest {
 protected:
  BatchTest() : CacheTest({.list = true, .batch_size = 20}) {}

  void SetMany(int count) {
    for (int i = 0; i < count; ++i)
      provider_->Set("k" + std::to_string(i), "v" + std::to_string(i));
  }
  std::vector<PendingRead> StartMany(int count, int first = 0) {
    std::vector<PendingRead> reads;
    for (int i = first; i < first + count; ++i)
      reads.push_back(StartRead(Key("k" + std::to_string(i))));
    return reads;
  }
};

TEST_F(BatchTest, ReadsThatArriveTogetherAreOneRequest) {
  SetMany(20);
  const auto reads = StartMany(20);
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Text(reads[i]), "v" + std::to_string(i));
}

TEST_F(BatchTest, MoreThanABatchIsCutIntoBatches) {
  SetMany(50);
  StartMany(50);
  Poll();
  const auto calls = provider_->fetch_calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0].refs.size(), 20u);
  EXPECT_EQ(calls[1].refs.size(), 20u);
  EXPECT_EQ(calls[2].refs.size(), 10u);
}

TEST_F(BatchTest, OneMissingSecretDoesNotFailItsBatch) {
  SetMany(2);
  const auto reads = StartMany(3);
  Poll();
  EXPECT_EQ(Text(reads[1]), "v1");
  EXPECT_EQ(reads[2]->status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BatchTest, PrefetchIsOneRequest) {
  SetMany(10);
  std::vector<EntryKey> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(Key("k" + std::to_string(i)));
  cache().Prefetch(keys);
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(BatchTest, SecretsDueAtAboutTheSameTimeAreRefreshedTogetherAndToldTogether) {
  RecordingListener listener;
  SetMany(3);
  Policy policy;
  policy.ttl = seconds(100);
  std::vector<Interest> interests;
  for (int i = 0; i < 3; ++i) {
    interests.push_back(Mount("k" + std::to_string(i), policy, true, &listener));
  }
  // Read at different times, and with the widest jitter between them.
  random_.Set(0.99);
  Read("k0");
  random_.Set(0.0);
  Read("k1");
  Advance(seconds(1));
  random_.Set(0.5);
  Read("k2");
  EXPECT_EQ(provider_->fetch_call_count(), 3u);
  const size_t told = listener.calls.size();
  for (int i = 0; i < 3; ++i) provider_->Set("k" + std::to_string(i), "new");
  Advance(seconds(91));
  EXPECT_EQ(provider_->fetch_call_count(), 4u);
  ASSERT_EQ(listener.calls.size(), told + 1);
  EXPECT_THAT(listener.Told(told), UnorderedElementsAre("k0=new", "k1=new", "k2=new"));
  cache().RemoveListener(&listener);
}

TEST_F(BatchTest, ASecretWithALongTtlDoesNotDragOneThatIsNotDue) {
  SetMany(2);
  Policy slow;
  slow.ttl = seconds(10'000);
  Policy quick;
  quick.ttl = seconds(400);
  const Interest a = Mount("k0", slow);
  const Interest b = Mount("k1", quick);
  Read("k0");
  Advance(seconds(9400));
  Refresh("k1");
  Advance(seconds(100));  // k0 is refreshed; k1 is due in 280 s
  EXPECT_EQ(provider_->fetch_calls().back().refs.size(), 1u);
}

TEST_F(BatchTest, ABatchWaitingForItsTurnTakesLaterOnesThatFitWhole) {
  SetMany(40);
  std::shared_ptr<fakes::FakeProvider> narrow;
  StoreSettings settings;
  settings.concurrent_requests = 1;
  const StoreId store = AddStore("narrow", narrow, settings);
  for (int i = 0; i < 40; ++i) narrow->Set("k" + std::to_string(i), "v");
  const auto read = [&](int from, int to) {
    for (int i = from; i < to; ++i) StartRead({store, {"k" + std::to_string(i), ""}});
    Poll();
  };
  narrow->Hold();
  read(0, 1);
  read(1, 6);    // 5
  read(6, 16);   // 10 fits
  read(16, 26);  // 10 does not fit whole
  narrow->Release();
  Poll();
  const auto calls = narrow->fetch_calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[1].refs.size(), 15u);
  EXPECT_EQ(calls[2].refs.size(), 10u);
}

TEST_F(BatchTest, ConcurrentRequestsAreLimitedAndServedInOrder) {
  std::shared_ptr<fakes::FakeProvider> narrow;
  StoreSettings settings;
  settings.concurrent_requests = 2;
  const StoreId store = AddStore("narrow", narrow, settings);
  narrow->Hold();
  for (int i = 0; i < 5; ++i) {
    narrow->Set("k" + std::to_string(i), "v");
    Read({store, {"k" + std::to_string(i), ""}});
  }
  EXPECT_EQ(narrow->fetch_call_count(), 2u);
  narrow->Release();
  Poll();
  EXPECT_EQ(narrow->most_in_flight(), 2u);
  EXPECT_EQ(narrow->fetch_calls()[0].refs[0].key, "k0");
  EXPECT_EQ(narrow->fetch_calls()[1].refs[0].key, "k1");
}

TEST_F(BatchTest, RequestsPerSecondAreLimited) {
  std::shared_ptr<fakes::FakeProvider> limited;
  StoreSettings settings;
  settings.requests_per_second = 2;
  const StoreId store = AddStore("limited", limited, settings);
  std::vector<PendingRead> reads;
  for (int i = 0; i < 6; ++i) {
    limited->Set("k" + std::to_string(i), "v");
    reads.push_back(Read({store, {"k" + std::to_string(i), ""}}));
  }
  // A second's worth at once, then one for each half second (what waits joins into one batch).
  EXPECT_EQ(limited->fetch_call_count(), 2u);
  Advance(milliseconds(499));
  EXPECT_EQ(limited->fetch_call_count(), 2u);
  Advance(milliseconds(2));
  EXPECT_EQ(limited->fetch_call_count(), 3u);
  for (const PendingRead& read : reads) EXPECT_EQ(Text(read), "v");
}

TEST_F(BatchTest, AQuestionThatNobodyWantsAnyMoreIsNotSent) {
  std::shared_ptr<fakes::FakeProvider> narrow;
  StoreSettings settings;
  settings.concurrent_requests = 1;
  const StoreId store = AddStore("narrow", narrow, settings);
  narrow->HoldKey("slow");
  Read({store, {"slow", ""}});
  const PendingRead waiting = Read({store, {"other", ""}});
  Advance(milliseconds(10'000));
  EXPECT_EQ(waiting->status().code(), absl::StatusCode::kDeadlineExceeded);
  Advance(seconds(2));
  EXPECT_EQ(narrow->fetches_of("other"), 0u);
}

// --- rounds: a store that is asked for one secret at a time

class RoundTest : public CacheTest {
 protected:
  RoundTest() : CacheTest({.list = true, .watch = true}) {
    for (const char* key : {"a", "b", "c"}) {
      provider_->Set(key, "old");
      interests_.push_back(Mount(key, {}, true, &listener_));
      Read(key);
      provider_->Set(key, "new");
    }
    told_ = listener_.calls.size();
  }
  ~RoundTest() override { cache().RemoveListener(&listener_); }
  void ChangeAll() {
    provider_->NotifyWatchers({.everything = true, .keys = {}});
    Poll();
  }
  RecordingListener listener_;
  std::vector<Interest> interests_;
  size_t told_ = 0;
};

TEST_F(RoundTest, WhatOneRefreshRoundBringsIsToldInOneCall) {
  provider_->HoldKey("b");
  Advance(seconds(57));
  EXPECT_EQ(provider_->fetch_call_count(), 6u);
  EXPECT_EQ(listener_.calls.size(), told_);
  provider_->ReleaseKey("b");
  Poll();
  ASSERT_EQ(listener_.calls.size(), told_ + 1);
  EXPECT_THAT(listener_.Told(told_), UnorderedElementsAre("a=new", "b=new", "c=new"));
}

TEST_F(RoundTest, ASlowAnswerDelaysTheOthersForAQuarterOfASecondOnly) {
  provider_->HoldKey("b");
  ChangeAll();
  Advance(milliseconds(249));
  EXPECT_EQ(listener_.calls.size(), told_);
  Advance(milliseconds(1));
  ASSERT_EQ(listener_.calls.size(), told_ + 1);
  EXPECT_THAT(listener_.Told(told_), UnorderedElementsAre("a=new", "c=new"));
  provider_->ReleaseKey("b");
  Poll();
  EXPECT_THAT(listener_.Told(told_ + 1), UnorderedElementsAre("b=new"));
}

TEST_F(RoundTest, AReaderGetsTheNewValueAtOnceAndTheListenerBeforeIt) {
  provider_->HoldKey("b");
  ChangeAll();
  EXPECT_EQ(listener_.calls.size(), told_);
  const PendingRead read = StartRead(Key("a"));
  bool reader_had_it = true;
  listener_.on_call = [&] { reader_had_it = !read->waits(); };
  Poll();
  EXPECT_EQ(Text(read), "new");
  EXPECT_FALSE(reader_had_it);
  EXPECT_THAT(listener_.Told(told_), UnorderedElementsAre("a=new", "c=new"));
}

TEST_F(RoundTest, AMountMayGoWhileItsNewsAreHeld) {
  provider_->HoldKey("b");
  ChangeAll();
  interests_.erase(interests_.begin());
  Poll();
  provider_->ReleaseKey("b");
  Poll();
  ASSERT_EQ(listener_.calls.size(), told_ + 1);
  EXPECT_THAT(listener_.Told(told_), UnorderedElementsAre("b=new", "c=new"));
  Advance(hours(1));
}

// --- the circuit breaker

class BreakerTest : public CacheTest {
 protected:
  void OpenBreaker() {
    provider_->Set("a", "one");
    provider_->Set("b", "two");
    provider_->FailCalls(absl::UnavailableError("connection refused"), kForever);
    interest_ = Mount("a");
    Read("a");
    while (provider_->fetch_call_count() < 10) Advance(milliseconds(100));
  }
  Interest interest_;
};

TEST_F(BreakerTest, AfterTenFailuresInARowReadersOfUncachedValuesFailAtOnce) {
  OpenBreaker();
  const size_t calls = provider_->fetch_call_count();
  const PendingRead read = Read("b");
  EXPECT_EQ(read->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(read->status().ToString().find("connection refused"), std::string::npos);
  EXPECT_EQ(provider_->fetch_call_count(), calls);
}

TEST_F(BreakerTest, ReadersOfCachedValuesNeverNotice) {
  provider_->Set("c", "three");
  Read("c");
  OpenBreaker();
  EXPECT_EQ(Text(Read("c")), "three");
}

TEST_F(BreakerTest, ItIsProbedByOneRequestAtATimeAndClosesWithTheFirstAnswer) {
  OpenBreaker();
  Advance(milliseconds(101));  // the first probe is due after half of 200 ms
  provider_->Hold();
  const size_t calls = provider_->fetch_call_count();
  const PendingRead probe = Read("b");
  EXPECT_EQ(provider_->fetch_call_count(), calls + 1);
  provider_->Set("d", "four");
  EXPECT_EQ(Read("d")->status().code(), absl::StatusCode::kUnavailable);
  provider_->Heal();
  provider_->Release();
  Poll();
  EXPECT_EQ(Text(probe), "two");
  EXPECT_EQ(Text(Read("d")), "four");
  // What waited for its next attempt came at once.
  EXPECT_EQ(State(Known("a")), "fresh");
}

TEST_F(BreakerTest, WhoWaitedBeforeItOpenedIsAnsweredWhenTheStoreComesBack) {
  Policy patient;
  patient.deadline = hours(1);
  const Interest interest = Mount("b", patient);
  provider_->Set("b", "two");
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  const PendingRead read = Read("b");
  Advance(minutes(20));
  EXPECT_EQ(Read("other")->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(read->waits());
  provider_->Heal();
  Advance(minutes(1));
  EXPECT_EQ(Text(read), "two");
}

TEST_F(BreakerTest, AFailedProbeFailsItsReaderAndTheNextComesLater) {
  OpenBreaker();
  Advance(milliseconds(101));
  EXPECT_EQ(Read("b")->status().code(), absl::StatusCode::kUnavailable);
  const size_t calls = provider_->fetch_call_count();
  EXPECT_FALSE(Read("b")->waits());
  EXPECT_EQ(provider_->fetch_call_count(), calls);
}

TEST_F(BreakerTest, RefreshInsistsOnAProbe) {
  OpenBreaker();
  provider_->Heal();
  EXPECT_EQ(Text(Refresh("b")), "two");
}

class LongOutageTest : public BreakerTest {
 protected:
  // A probe has just failed, and the backoff has the next one in half a minute.
  void SetUp() override {
    OpenBreaker();
    Advance(minutes(5));
    const size_t calls = provider_->fetch_call_count();
    while (provider_->fetch_call_count() == calls) Advance(milliseconds(100));
  }
  // "a" is queued for the next probe, which a failed one of "b" put off.
  void QueueBehindTheBreaker() {
    Advance(seconds(6));
    ASSERT_EQ(Read("b")->status().code(), absl::StatusCode::kUnavailable);
    Advance(seconds(26));
    ASSERT_EQ(State(Known("a")), "fetching");
  }
};

TEST_F(LongOutageTest, AReaderFindsTheStoreBackWithinSeconds) {
  provider_->Heal();
  EXPECT_EQ(Read("b")->status().code(), absl::StatusCode::kUnavailable);
  Advance(seconds(5));
  EXPECT_EQ(Text(Read("b")), "two");
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(LongOutageTest, ReadersDoNotProbeMoreOftenThanThat) {
  Advance(seconds(5));
  const size_t calls = provider_->fetch_call_count();
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(Read("b")->status().code(), absl::StatusCode::kUnavailable);
    Advance(milliseconds(100));
  }
  EXPECT_EQ(provider_->fetch_call_count(), calls + 1);
}

TEST_F(LongOutageTest, RefreshReachesAnEntryThatIsQueuedForTheNextProbe) {
  QueueBehindTheBreaker();
  provider_->Heal();
  EXPECT_EQ(Text(Refresh("a")), "one");
}

TEST_F(LongOutageTest, AReaderBehindAFailedProbeIsToldAtOnce) {
  QueueBehindTheBreaker();
  const PendingRead read = Read("b");
  EXPECT_EQ(read->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(read->calls, 1);
}

TEST_F(BreakerTest, AnAnswerIsNoFailureOfTheStore) {
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(Read("missing" + std::to_string(i))->status().code(), absl::StatusCode::kNotFound);
  }
  provider_->Set("a", "one");
  EXPECT_EQ(Text(Read("a")), "one");
}

TEST_F(BreakerTest, OneStoresBreakerIsNotAnothers) {
  OpenBreaker();
  std::shared_ptr<fakes::FakeProvider> healthy;
  const StoreId store = AddStore("healthy", healthy);
  healthy->Set("x", "fine");
  EXPECT_EQ(Text(Read({store, {"x", ""}})), "fine");
}

TEST_F(BreakerTest, RetryAfterPausesTheWholeStore) {
  provider_->Set("a", "one");
  provider_->Set("b", "two");
  absl::Status busy = absl::ResourceExhaustedError("slow down");
  SetRetryAfter(busy, seconds(3));
  provider_->Fail("a", busy, 1);
  Read("a");
  const PendingRead other = Read("b");
  EXPECT_TRUE(other->waits());
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(seconds(3));
  EXPECT_EQ(Text(other), "two");
}

}  // namespace
}  // namespace secretfs::cache
