// Who is told what, in which order, and what is dropped from memory.

#include <algorithm>

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using Told = std::vector<std::string>;

class ListenerTest : public CacheTest {
 protected:
  ListenerTest() : CacheTest({.list = true, .batch_size = 20}) {}
  ~ListenerTest() override { cache().RemoveListener(&listener_); }
  RecordingListener listener_;
};

TEST_F(ListenerTest, HearsOfAValueBeforeTheReadersWhoWaitForIt) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {}, true, &listener_);
  const PendingRead read = StartRead(Key("a"));
  bool reader_had_it = true;
  listener_.on_call = [&] { reader_had_it = !read->waits(); };
  Poll();
  ASSERT_EQ(listener_.calls.size(), 1u);
  EXPECT_FALSE(reader_had_it);
  EXPECT_EQ(Text(read), "one");
  EXPECT_EQ(listener_.Told(0), Told{"a=one"});
}

TEST_F(ListenerTest, HearsOfABatchInOneCallAndOnlyOfWhatItMounted) {
  for (const char* key : {"a", "b", "c"}) provider_->Set(key, "one");
  const Interest a = Mount("a", {}, true, &listener_);
  const Interest c = Mount("c", {}, true, &listener_);
  StartRead(Key("a"));
  StartRead(Key("b"));
  StartRead(Key("c"));
  Poll();
  ASSERT_EQ(listener_.calls.size(), 1u);
  EXPECT_EQ(listener_.Told(0), (Told{"a=one", "c=one"}));
}

TEST_F(ListenerTest, TwoInterestsOfOneListenerAreOneEntry) {
  provider_->Set("a", "one");
  const Interest first = Mount("a", {}, true, &listener_);
  const Interest second = Mount("a", {}, false, &listener_);
  Read("a");
  EXPECT_EQ(listener_.Told(0), Told{"a=one"});
}

TEST_F(ListenerTest, IsNotCalledWhenNothingChanged) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {}, true, &listener_);
  Read("a");
  Refresh("a");
  Read("a");
  EXPECT_EQ(listener_.calls.size(), 1u);
}

TEST_F(ListenerTest, HearsOfErrorsAndStates) {
  provider_->Set("a", "one");
  Policy policy;
  policy.ttl = seconds(100);
  policy.max_stale = seconds(50);
  policy.stale_if_error = seconds(200);
  const Interest interest = Mount("a", policy, true, &listener_);
  Read("a");
  provider_->Fail("a", absl::UnavailableError("down"), kForever);
  Advance(seconds(400));
  std::vector<std::string> states;
  for (const auto& call : listener_.calls) states.push_back(State(call.at(0)));
  EXPECT_EQ(states, (Told{"fresh", "fresh", "stale", "expired", "gone"}));
  EXPECT_TRUE(listener_.calls[0][0].last_error.ok());
  EXPECT_FALSE(listener_.calls[1][0].last_error.ok());
  EXPECT_EQ(listener_.calls[3][0].secret->version, "1");
  EXPECT_EQ(listener_.calls[4][0].secret, nullptr);
}

TEST_F(ListenerTest, IsNotCalledAfterRemoveListener) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a", {}, true, &listener_);
  cache().RemoveListener(&listener_);
  Read("a");
  EXPECT_TRUE(listener_.calls.empty());
}

TEST_F(ListenerTest, MayAddInterestsAndReadFromInsideItsCall) {
  provider_->Set("a", "one");
  provider_->Set("b", "two");
  Interest second;
  PendingRead read;
  const Interest first = Mount("a", {}, true, &listener_);
  listener_.on_call = [&] {
    if (read != nullptr) return;
    second = cache().AddInterest(Key("b"), {}, true, &listener_);
    read = StartRead(Key("b"));
  };
  Read("a");
  Poll();
  EXPECT_EQ(Text(read), "two");
  EXPECT_EQ(listener_.Told(1), Told{"b=two"});
}

TEST_F(ListenerTest, AMovedInterestIsOneInterest) {
  provider_->Set("a", "one");
  Interest first = Mount("a");
  Read("a");
  Interest second = std::move(first);
  first = Interest();
  Advance(seconds(58));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  second = Interest();
  Advance(minutes(10));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
}

// --- memory

class EvictionTest : public CacheTest {
 protected:
  EvictionTest() : CacheTest({.list = true}, {.byte_limit = 3000}) {}
  void SetKilobyte(const std::string& key) { provider_->Set(key, std::string(1000, key[0])); }
};

TEST_F(EvictionTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* key : {"a", "b", "c"}) {
    SetKilobyte(key);
    Read(key);
  }
  Read("a");
  SetKilobyte("d");
  Read("d");
  EXPECT_EQ(KnownEntries(), 3u);
  EXPECT_EQ(State(Known("b")), "absent");
  EXPECT_EQ(State(Known("a")), "fresh");
  Read("b");
  EXPECT_EQ(provider_->fetches_of("b"), 2u);
  EXPECT_EQ(provider_->fetches_of("a"), 1u);
}

TEST_F(EvictionTest, WhatAManifestNamesIsNeverEvicted) {
  SetKilobyte("a");
  const Interest pinned = Mount("a", {}, true);
  Read("a");
  for (const char* key : {"b", "c", "d", "e", "f"}) {
    SetKilobyte(key);
    Read(key);
  }
  EXPECT_EQ(State(Known("a")), "fresh");
  EXPECT_EQ(provider_->fetches_of("a"), 1u);
}

TEST_F(EvictionTest, AnEvictedBrowsedSecretIsAbsentAndFetchedOnlyWhenReadAgain) {
  RecordingListener listener;
  SetKilobyte("a");
  const Interest browsed = Mount("a", {}, false, &listener);
  Read("a");
  for (const char* key : {"b", "c", "d"}) {
    SetKilobyte(key);
    Read(key);
  }
  EXPECT_EQ(listener.Told(listener.calls.size() - 1), Told{"a:absent"});
  Advance(minutes(5));
  EXPECT_EQ(provider_->fetches_of("a"), 1u);
  Read("a");
  EXPECT_EQ(provider_->fetches_of("a"), 2u);
  cache().RemoveListener(&listener);
}

TEST_F(EvictionTest, AValueLargerThanTheLimitIsServedAndNotKept) {
  provider_->Set("huge", std::string(10'000, 'x'));
  EXPECT_EQ(Text(Read("huge")).size(), 10'000u);
  EXPECT_EQ(KnownEntries(), 0u);
}

TEST_F(EvictionTest, FieldsCount) {
  fakes::FakeProvider::Extras extras;
  extras.fields = {{"x", std::string(2000, 'x')}};
  provider_->Set("a", "small", extras);
  Read("a");
  SetKilobyte("b");
  Read("b");
  EXPECT_EQ(State(Known("a")), "absent");
}

TEST_F(EvictionTest, AValueWithoutAMountIsDroppedWhenItExpires) {
  SetKilobyte("a");
  Read("a");
  EXPECT_EQ(KnownEntries(), 1u);
  Advance(seconds(359));
  EXPECT_EQ(KnownEntries(), 1u);
  Advance(seconds(2));
  EXPECT_EQ(KnownEntries(), 0u);
}

TEST_F(EvictionTest, ARememberedErrorIsDroppedWithItsNegativeTtl) {
  Read("missing");
  EXPECT_EQ(KnownEntries(), 1u);
  Advance(seconds(5));
  EXPECT_EQ(KnownEntries(), 0u);
}

}  // namespace
}  // namespace secretfs::cache
