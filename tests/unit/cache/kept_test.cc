// What the next server finds: values, their times and their leases, after a death, a hand-over and
// a shutdown.

#include "base/kept_values.h"
#include "cache/kept_secret.h"
#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using Ids = std::vector<std::string>;
using Told = std::vector<std::string>;

class KeptTest : public CacheTest {
 protected:
  explicit KeptTest(providers::Capabilities capabilities = {.list = true})
      : CacheTest(capabilities, {}) {
    kept_ = *KeptValues::Create(1 << 20);
    cache_.reset();
    NextServer();
  }

  // The server dies and the next one starts; time passes meanwhile. The store is the same.
  void Restart(Duration meanwhile = Duration(0)) {
    interests_.clear();  // what this posts finds no cache any more
    cache_.reset();
    Poll();
    clock_.Advance(meanwhile);
    kept_ = *KeptValues::Attach(kept_->memory());
    NextServer();
  }
  void NextServer() {
    options_.kept = kept_.get();
    StoreSettings settings;
    settings.name = "vault";
    settings.identity = "me";
    if (provider_ == nullptr) provider_ = std::make_shared<fakes::FakeProvider>(capabilities_);
    settings.provider = provider_;
    store_ = cache().AddStore(std::move(settings));
  }

  void Keep(const std::string& key, const Policy& policy = {}, bool pinned = true,
            Listener* listener = nullptr) {
    interests_.push_back(Mount(key, policy, pinned, listener));
  }
  // Set at the store, mounted and read.
  void Have(const std::string& key, const std::string& value, const Policy& policy = {}) {
    provider_->Set(key, value);
    Keep(key, policy);
    EXPECT_EQ(Text(Read(key)), value);
  }
  size_t fetches() const { return provider_->fetch_call_count(); }

  std::unique_ptr<KeptValues> kept_;
  std::vector<Interest> interests_;
};

TEST_F(KeptTest, AFreshValueIsServedUntilItsOwnTimeIsOver) {
  fakes::FakeProvider::Extras extras;
  extras.fields = {{"user", "u"}, {"password", "p"}};
  provider_->Set("a", "{}", extras);
  Keep("a");
  Read("a");
  const EntrySnapshot before = Known("a");
  Restart(seconds(20));
  Keep("a");
  const EntrySnapshot after = Known("a");
  EXPECT_EQ(State(after), "fresh");
  EXPECT_EQ(after.fetched_at, before.fetched_at);
  EXPECT_EQ(after.expires_at, before.expires_at);
  EXPECT_EQ(after.next_refresh_at, before.next_refresh_at);
  const PendingRead read = Read("a");
  EXPECT_EQ(Text(read), "{}");
  EXPECT_EQ((*read->result)->secret->fields.at("password").ExposeAsText(), "p");
  EXPECT_EQ(fetches(), 1u);
  Advance(milliseconds(36'999));
  EXPECT_EQ(fetches(), 1u);
  Advance(milliseconds(1));
  EXPECT_EQ(fetches(), 2u);
}

TEST_F(KeptTest, AConfirmedValueHasItsNewTimes) {
  Have("a", "one");
  Advance(seconds(57));
  EXPECT_EQ(fetches(), 2u);
  Restart(seconds(30));
  Keep("a");
  EXPECT_EQ(State(Known("a")), "fresh");
  EXPECT_EQ(fetches(), 2u);
}

TEST_F(KeptTest, AStaleValueIsServedAndRefreshed) {
  Have("a", "one");
  provider_->Set("a", "two");
  provider_->Hold();
  Restart(seconds(90));
  Keep("a");
  Poll();
  EXPECT_EQ(State(Known("a")), "stale");
  EXPECT_EQ(Text(Read("a")), "one");
  provider_->Release();
  Advance(milliseconds(1));
  EXPECT_EQ(Text(Known("a")), "two");
  EXPECT_EQ(fetches(), 2u);
}

TEST_F(KeptTest, AnExpiredValueIsServedIfTheStoreIsDown) {
  Policy policy;
  policy.max_stale = seconds(10);
  Have("a", "one", policy);
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  Restart(minutes(10));
  Keep("a", policy);
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(State(Known("a")), "expired");
}

TEST_F(KeptTest, ThatTheStoreIsDownIsKnownToTheNextServer) {
  Policy policy;
  policy.max_stale = seconds(10);
  Have("a", "one", policy);
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  Advance(minutes(5));
  EXPECT_EQ(State(Known("a")), "expired");
  EXPECT_EQ(Text(Known("a")), "one");
  provider_->Hold();
  Restart();
  Keep("a", policy);
  EXPECT_EQ(Text(Read("a")), "one") << "nobody waits for a store that was down a moment ago";
}

TEST_F(KeptTest, AValueThatIsTooOldIsGone) {
  Policy policy;
  policy.max_stale = seconds(10);
  policy.stale_if_error = seconds(10);
  Have("a", "one", policy);
  provider_->Hold();
  Restart(minutes(10));
  Keep("a", policy);
  EXPECT_EQ(State(Known("a")), "gone");
  EXPECT_TRUE(Read("a")->waits());
  EXPECT_EQ(kept_->size(), 0u);
}

TEST_F(KeptTest, OneValueWithdrawnIsErased) {
  Have("deleted", "one");
  Have("denied", "one");
  Have("stays", "one");
  EXPECT_EQ(kept_->size(), 3u);
  provider_->Remove("deleted");
  provider_->Fail("denied", absl::PermissionDeniedError("no"), kForever);
  Refresh("deleted");
  Refresh("denied");
  Advance(seconds(5));
  EXPECT_EQ(State(Known("deleted")), "gone");
  EXPECT_EQ(kept_->size(), 1u);
}

TEST_F(KeptTest, AGraceAfterDeletionEndsAtItsTime) {
  Policy policy;
  policy.grace_on_delete = minutes(2);
  Have("a", "one", policy);
  provider_->Remove("a");
  Refresh("a");
  Restart(minutes(1));
  Keep("a", policy);
  EXPECT_EQ(Text(Known("a")), "one");
  Advance(minutes(1));
  EXPECT_EQ(State(Known("a")), "gone");
}

TEST_F(KeptTest, OnlyWhatIsMountedIsKept) {
  provider_->Set("a", "one");
  Read("a");
  EXPECT_EQ(kept_->size(), 0u);
  Keep("a");
  EXPECT_EQ(kept_->size(), 1u);
  interests_.clear();
  Poll();
  EXPECT_EQ(kept_->size(), 0u);
  Keep("a");
  EXPECT_EQ(kept_->size(), 1u) << "the value was still there";
}

TEST_F(KeptTest, AnEvictedValueIsErased) {
  options_.byte_limit = 1000;
  Restart();
  for (const char* key : {"a", "b"}) {
    provider_->Set(key, std::string(600, 'x'));
    Keep(key, {}, false);
    Read(key);
  }
  Poll();
  EXPECT_EQ(State(Known("a")), "absent");
  EXPECT_EQ(kept_->size(), 1u);
}

TEST_F(KeptTest, AReadBeforeTheInterestDoesNotLoseTheRest) {
  Have("a", "one");
  Have("b", "one");
  provider_->Set("a", "two");
  provider_->Fail("b", absl::NotFoundError("deleted meanwhile"), kForever);
  Restart();
  EXPECT_EQ(Text(Read("a")), "two");
  EXPECT_FALSE(Read("b")->ok());
  EXPECT_EQ(kept_->size(), 2u);
  Keep("a");
  Keep("b");
  EXPECT_EQ(Text(Known("a")), "two");
  EXPECT_EQ(kept_->size(), 1u) << "the store had said that b is not there";
}

TEST_F(KeptTest, AnotherStoreOrIdentityDoesNotGetIt) {
  Have("a", "one");
  Restart();
  for (const auto& [name, identity] : {std::pair("vault", "other"), std::pair("other", "me")}) {
    StoreSettings settings;
    settings.name = name;
    settings.identity = identity;
    settings.provider = provider_;
    const StoreId store = cache().AddStore(std::move(settings));
    interests_.push_back(cache().AddInterest({store, {"a", ""}}, {}, true, nullptr));
  }
  interests_.push_back(cache().AddInterest(Key("a", "1"), {}, true, nullptr));
  Poll();
  size_t values = 0;
  cache().Status([&](const std::vector<EntrySnapshot>& all) {
    for (const EntrySnapshot& entry : all) values += entry.secret != nullptr ? 1 : 0;
  });
  Poll();
  EXPECT_EQ(values, 0u);
  Keep("a");
  EXPECT_EQ(Text(Known("a")), "one");
}

TEST_F(KeptTest, ListenersHearOfWhatIsRestoredAndNotBeforeItIsKept) {
  provider_->Set("a", "one");
  RecordingListener listener;
  size_t kept_when_told = 0;
  listener.on_call = [&] { kept_when_told = kept_->size(); };
  Keep("a", {}, true, &listener);
  Read("a");
  EXPECT_EQ(listener.Told(0), Told{"a=one"});
  EXPECT_EQ(kept_when_told, 1u);
  Restart();
  RecordingListener next;
  Keep("a", {}, true, &next);
  ASSERT_EQ(next.calls.size(), 1u);
  EXPECT_EQ(next.Told(0), Told{"a=one"});
  cache().RemoveListener(&next);
}

TEST_F(KeptTest, DamagedValuesAreFetchedAgain) {
  Have("a", "one");
  const std::string name = kept_->Names("").front();
  kept_->Put(name, std::as_bytes(std::span("not a value")));
  Restart();
  Keep("a");
  EXPECT_EQ(State(Known("a")), "absent");
  EXPECT_EQ(kept_->size(), 0u);
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(kept_->size(), 1u);
}

TEST_F(KeptTest, WhatDoesNotFitIsServedButNotKept) {
  kept_ = *KeptValues::Create(4096);
  Restart();
  Have("large", std::string(8000, 'x'));
  Have("small", "one");
  EXPECT_EQ(kept_->size(), 1u);
  Restart();
  Keep("large");
  Keep("small");
  EXPECT_EQ(State(Known("large")), "absent");
  EXPECT_EQ(Text(Known("small")), "one");
  EXPECT_EQ(Text(Read("large")), std::string(8000, 'x'));
}

TEST_F(KeptTest, UnclaimedValuesCanBeForgotten) {
  Have("a", "one");
  Have("b", "one");
  EXPECT_EQ(Names(List("")), "a b");
  Restart();
  Keep("a");
  cache().ForgetUnclaimed();
  Poll();
  EXPECT_EQ(kept_->Names("cache/secret/").size(), 1u);
  EXPECT_EQ(kept_->Names("cache/listing/").size(), 1u);
  Keep("b");
  EXPECT_EQ(State(Known("b")), "absent");
}

// --- ends

TEST_F(KeptTest, AShutdownErasesEverything) {
  kept_->Put("others", std::as_bytes(std::span("x")));
  Have("a", "one");
  List("");
  bool done = false;
  cache().Shutdown(seconds(1), [&] { done = true; });
  Poll();
  EXPECT_TRUE(done);
  EXPECT_EQ(kept_->Names(""), Ids{"others"});
  interests_.clear();
  Poll();
  EXPECT_EQ(kept_->Names(""), Ids{"others"});
}

TEST_F(KeptTest, AHandOverAnswersNobodyAndLeavesEverything) {
  fakes::FakeProvider::Extras extras;
  extras.lease = seconds(90);
  provider_->Set("db", "password", extras);
  Keep("db");
  Read("db");
  Have("a", "one");
  provider_->Hold();
  const PendingRead waiting = Read("other");
  const PendingList listing = List("");
  provider_->Set("a", "two");
  bool done = false;
  cache().HandOver(seconds(1), [&] { done = true; });
  Poll();
  EXPECT_TRUE(done);
  const PendingRead late = Read("a");
  const PendingList late_listing = List("");
  interests_.clear();
  Advance(minutes(1));
  for (const PendingRead& read : {waiting, late}) EXPECT_EQ(read->calls, 0);
  for (const PendingList& list : {listing, late_listing}) EXPECT_EQ(list->calls, 0);
  EXPECT_EQ(provider_->held(), 0u) << "calls are cancelled";
  EXPECT_TRUE(provider_->revoked().empty());
  EXPECT_EQ(provider_->closes(), 0u) << "the token's leases would end with it";
  EXPECT_EQ(kept_->size(), 2u);
  provider_->Release();
  Restart();
  Keep("db");
  EXPECT_EQ(Text(Known("db")), "password-1");
}

// A hand-over at each turn of a read: whoever was answered finds the value kept, and an answer of
// the store that came too late for its reader is not lost.
TEST_F(KeptTest, AHandOverAtAnyTurnLosesNothing) {
  int answered = 0;
  int kept_only = 0;
  for (int turns = 0; turns < 12; ++turns) {
    const std::string key = Format("key{}", turns);
    provider_->Set(key, "one");
    Keep(key);
    const PendingRead read = StartRead(Key(key));
    context_.restart();
    for (int turn = 0; turn < turns; ++turn) context_.run_one();
    cache().HandOver(seconds(1), [] {});
    Poll();
    Restart();
    Keep(key);
    const bool kept = State(Known(key)) == "fresh";
    if (read->calls > 0) {
      EXPECT_EQ(Text(read), "one");
      EXPECT_TRUE(kept) << turns;
      ++answered;
    } else if (kept) {
      ++kept_only;
    }
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(kept_only, 0);
}

// --- leases

class KeptLeaseTest : public KeptTest {
 protected:
  KeptLeaseTest() {
    policy_.ttl = hours(1);
    fakes::FakeProvider::Extras extras;
    extras.lease = seconds(90);
    provider_->Set("db", "password", extras);
  }
  Policy policy_;
};

TEST_F(KeptLeaseTest, AreRenewedAtTheirTimeByTheNextServer) {
  Keep("db", policy_);
  Read("db");
  Restart(seconds(30));
  Keep("db", policy_);
  EXPECT_EQ(Text(Read("db")), "password-1");
  Advance(milliseconds(29'999));
  EXPECT_TRUE(provider_->renewed().empty());
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->renewed(), Ids{"db/1"});
  Restart(seconds(30));
  Keep("db", policy_);
  Advance(seconds(29));
  EXPECT_EQ(provider_->renewed().size(), 1u);
  Advance(seconds(1));
  EXPECT_EQ(provider_->renewed().size(), 2u) << "the renewal was kept too";
  EXPECT_EQ(fetches(), 1u);
}

TEST_F(KeptLeaseTest, ThatAreNearTheirEndAreReplaced) {
  Keep("db", policy_);
  Read("db");
  Restart(seconds(85));
  Keep("db", policy_);
  Advance(milliseconds(1));
  EXPECT_EQ(Text(Read("db")), "password-2");
}

TEST_F(KeptLeaseTest, AreGivenBackByTheNextServer) {
  Keep("db", policy_);
  Read("db");
  Refresh("db");
  Restart(seconds(30));
  Keep("db", policy_);
  EXPECT_TRUE(provider_->revoked().empty());
  interests_.clear();
  Poll();
  EXPECT_EQ(provider_->revoked(), (Ids{"db/1", "db/2"}));
  EXPECT_EQ(kept_->size(), 0u);
}

TEST_F(KeptLeaseTest, AreGivenBackAtTheEndOfTheNextServer) {
  Keep("db", policy_);
  Read("db");
  Restart(seconds(30));
  Keep("db", policy_);
  cache().Shutdown(seconds(1), [] {});
  Poll();
  EXPECT_EQ(provider_->revoked(), Ids{"db/1"});
}

// --- stores with a watch

class KeptWatchTest : public KeptTest {
 protected:
  KeptWatchTest() : KeptTest({.list = true, .watch = true, .batch_size = 20}) {}
};

TEST_F(KeptWatchTest, WhatChangedMeanwhileIsFoundByOneRequestThatNobodyWaitsFor) {
  Policy policy;
  policy.ttl = hours(10);
  policy.max_stale = seconds(0);
  for (const char* key : {"a", "b", "c"}) Have(key, "one", policy);
  const size_t before = fetches();
  provider_->Set("a", "two");
  provider_->Set("c", "two");
  provider_->Hold();
  Restart();
  RecordingListener listener;
  for (const char* key : {"a", "b", "c"}) {
    interests_.push_back(cache().AddInterest(Key(key), policy, true, &listener));
  }
  Poll();
  EXPECT_EQ(Text(Read("a")), "one");
  EXPECT_EQ(fetches(), before + 1);
  const size_t told = listener.calls.size();
  provider_->Release();
  Poll();
  EXPECT_EQ(Text(Read("a")), "two");
  EXPECT_EQ(fetches(), before + 1);
  ASSERT_EQ(listener.calls.size(), told + 1);
  EXPECT_EQ(listener.Told(told), (Told{"a=two", "c=two"}));
  cache().RemoveListener(&listener);
}

TEST_F(KeptWatchTest, AStoreThatIsDownChangesNothing) {
  Policy policy;
  policy.ttl = hours(1);
  Have("a", "one", policy);
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  Restart();
  Keep("a", policy);
  for (int i = 0; i < 10; ++i) {
    Advance(minutes(1));
    EXPECT_EQ(Text(Read("a")), "one");
  }
}

TEST_F(KeptWatchTest, AListingIsServedAndLookedAtAgain) {
  provider_->Set("a", "one");
  EXPECT_EQ(Names(List("")), "a");
  provider_->Set("b", "one");
  const size_t before = provider_->list_calls();
  Restart();
  EXPECT_EQ(Names(List("")), "a");
  EXPECT_EQ(provider_->list_calls(), before + 1);
  EXPECT_EQ(Names(List("")), "a b");
}

// --- listings

TEST_F(KeptTest, AListingIsServedWithoutAsking) {
  provider_->Set("app/a", "one");
  EXPECT_EQ(Names(List("app")), "a");
  const size_t before = provider_->list_calls();
  Restart(seconds(20));
  EXPECT_EQ(Names(List("app")), "a");
  EXPECT_EQ(provider_->list_calls(), before);
  EXPECT_EQ(Names(List("")), "app/-");
  EXPECT_EQ(provider_->list_calls(), before + 1);
}

TEST_F(KeptTest, AListingIsServedWhileTheStoreIsDown) {
  provider_->Set("a", "one");
  EXPECT_EQ(Names(List("")), "a");
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  Restart(minutes(10));
  EXPECT_EQ(Names(List("")), "a");
}

TEST_F(KeptTest, AListingOfWhatIsGoneIsErased) {
  provider_->Set("app/a", "one");
  EXPECT_EQ(Names(List("app")), "a");
  EXPECT_EQ(kept_->size(), 1u);
  provider_->Remove("app/a");
  EXPECT_FALSE(List("app", {}, true)->ok());
  EXPECT_EQ(kept_->size(), 0u);
}

// --- what a server that was taken over could have left

class HostileKeptTest : public KeptTest {
 protected:
  void Tamper(const std::string& key, const std::function<void(SavedEntry&)>& change) {
    StoreSettings settings;
    settings.name = "vault";
    settings.identity = "me";
    const std::string name = KeptSecretName(settings, {key, ""});
    const std::optional<SecretBytes> kept = kept_->Get(name);
    ASSERT_TRUE(kept.has_value());
    std::optional<SavedEntry> entry = ReadKeptEntry(kept->bytes(), clock_.Now());
    ASSERT_TRUE(entry.has_value());
    change(*entry);
    ASSERT_TRUE(kept_->Put(name, WriteKeptEntry(*entry).bytes()));
  }
  static providers::SecretPtr Forged(const providers::SecretPtr& secret) {
    auto forged = std::make_shared<providers::Secret>();
    forged->value = SecretBytes::CopyOf(std::string_view("forged"));
    forged->version = secret->version;
    return forged;
  }
};

// Under the version that the store has: nothing but the bytes themselves tells.
TEST_F(HostileKeptTest, AForgedValueGoesWhenTheStoreIsAskedAlthoughTheVersionIsTheSame) {
  Have("a", "true");
  Tamper("a", [](SavedEntry& entry) { entry.secret = Forged(entry.secret); });
  Restart();
  Keep("a");
  EXPECT_EQ(Text(Read("a")), "forged");
  Advance(seconds(70));
  EXPECT_EQ(Text(Read("a")), "true");
}

TEST_F(HostileKeptTest, AForgedValueIsNotFreshForLongerThanThePolicySays) {
  Have("a", "true");
  Tamper("a", [](SavedEntry& entry) {
    entry.secret = Forged(entry.secret);
    entry.freshness.bound_alone = true;
    entry.freshness.bound = Duration::max();
    entry.retry_at = MonotonicTime(hours(1'000'000));
  });
  Restart();
  Keep("a");
  Advance(seconds(70));
  EXPECT_EQ(Text(Read("a")), "true");
}

TEST_F(HostileKeptTest, AForgedRefusalIsForgotten) {
  Have("a", "true");
  Tamper("a", [](SavedEntry& entry) {
    entry.freshness.must_ask = true;
    entry.freshness.last_error = absl::PermissionDeniedError("forged");
    entry.freshness.negative_until = MonotonicTime::max();
  });
  Restart();
  Keep("a");
  Advance(seconds(10));
  EXPECT_EQ(Text(Read("a")), "true");
}

}  // namespace
}  // namespace secretfs::cache
