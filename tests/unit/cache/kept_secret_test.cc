#include "cache/kept_secret.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/text.h"

namespace secretfs::cache {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const MonotonicTime kNow{hours(5)};

SavedEntry FullEntry() {
  auto secret = std::make_shared<providers::Secret>();
  secret->value = SecretBytes::CopyOf(std::string_view("{\"a\":\"b\"}\0binary", 16));
  secret->fields.emplace("a", SecretBytes::CopyOf("b"));
  secret->fields.emplace("empty", SecretBytes());
  secret->version = "7";
  secret->changed_at = WallTime(hours(400'000));
  secret->time_to_live = minutes(3);
  secret->lease = providers::Lease{"lease/1", seconds(90), true};
  SavedEntry entry;
  entry.secret = std::move(secret);
  entry.time_to_live = minutes(2);
  entry.freshness = {.fetched = Moment{MonotonicTime(hours(4)), WallTime(hours(500'000))},
                     .bound = minutes(1),
                     .bound_alone = true,
                     .fresh_limit = MonotonicTime(hours(6)),
                     .must_ask = true,
                     .last_error = absl::UnavailableError("store is down"),
                     .failures_in_a_row = 3,
                     .failed_at = MonotonicTime(hours(4) + seconds(9)),
                     .negative_until = MonotonicTime(hours(8))};
  entry.jitter = 0.25;
  entry.retry_at = MonotonicTime(hours(4) + seconds(20));
  entry.deleted = true;
  entry.withdraw_at = MonotonicTime(hours(7));
  entry.leases = {{{"old", seconds(60), false},
                   MonotonicTime(hours(3)),
                   MonotonicTime(hours(6)),
                   seconds(70),
                   false},
                  {{"lease/1", seconds(90), true},
                   MonotonicTime(hours(4)),
                   MonotonicTime::max(),
                   seconds(90),
                   true}};
  return entry;
}

TEST(KeptSecret, ReadsWhatItWrote) {
  const SecretBytes written = WriteKeptEntry(FullEntry());
  const std::optional<SavedEntry> read = ReadKeptEntry(written.bytes(), kNow);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->secret->value.ExposeAsText(), std::string_view("{\"a\":\"b\"}\0binary", 16));
  ASSERT_EQ(read->secret->fields.size(), 2u);
  EXPECT_EQ(read->secret->fields.at("a").ExposeAsText(), "b");
  EXPECT_EQ(read->secret->version, "7");
  EXPECT_EQ(read->secret->changed_at, WallTime(hours(400'000)));
  EXPECT_EQ(read->secret->time_to_live, minutes(3));
  EXPECT_EQ(read->secret->lease->id, "lease/1");
  EXPECT_EQ(read->time_to_live, minutes(2));
  EXPECT_EQ(read->freshness.last_error, absl::UnavailableError("store is down"));
  EXPECT_EQ(read->withdraw_at, MonotonicTime(hours(7)));
  ASSERT_EQ(read->leases.size(), 2u);
  EXPECT_EQ(read->leases[0].lease.id, "old");
  EXPECT_TRUE(read->leases[1].of_current_value);
  // Everything else: what is read is written as the same bytes.
  EXPECT_EQ(WriteKeptEntry(*read).ExposeAsText(), written.ExposeAsText());
}

TEST(KeptSecret, ReadsTheLeastThatThereCanBe) {
  SavedEntry entry;
  auto secret = std::make_shared<providers::Secret>();
  secret->version = "1";
  entry.secret = std::move(secret);
  entry.freshness.fetched = Moment{kNow, WallTime()};
  const SecretBytes written = WriteKeptEntry(entry);
  const std::optional<SavedEntry> read = ReadKeptEntry(written.bytes(), kNow);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(WriteKeptEntry(*read).ExposeAsText(), written.ExposeAsText());
  EXPECT_FALSE(ReadKeptEntry(written.bytes(), kNow - seconds(1)).has_value())
      << "it was not fetched in the future";
}

TEST(KeptSecret, APartOfItIsNoValue) {
  const SecretBytes written = WriteKeptEntry(FullEntry());
  for (size_t size = 0; size < written.size(); ++size) {
    EXPECT_FALSE(ReadKeptEntry(written.bytes().subspan(0, size), kNow).has_value()) << size;
  }
  SecretBytes longer(written.size() + 1);
  std::copy(written.bytes().begin(), written.bytes().end(), longer.mutable_bytes().begin());
  EXPECT_FALSE(ReadKeptEntry(longer.bytes(), kNow).has_value());
  EXPECT_FALSE(ReadKeptListing(written.bytes(), kNow).has_value());
}

// Under UndefinedBehaviorSanitizer this finds times that overflow later.
TEST(KeptSecret, WhateverIsReadCanBeUsed) {
  std::mt19937 random(3);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same run each time
  const SecretBytes written = WriteKeptEntry(FullEntry());
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    SecretBytes damaged = written.Clone();
    for (uint32_t flips = 1 + random() % 3; flips > 0; --flips) {
      damaged.mutable_bytes()[random() % damaged.size()] = static_cast<std::byte>(random());
    }
    std::optional<SavedEntry> saved = ReadKeptEntry(damaged.bytes(), kNow);
    if (!saved.has_value()) continue;
    ++read;
    Entry entry(EntryKey{StoreId(1), {"key", ""}});
    entry.Restore(*std::move(saved), kNow);
    entry.AdvanceTo(kNow);
    for (const MonotonicTime now : {kNow, kNow + hours(100)}) {
      (void)entry.SnapshotAt({now, WallTime(hours(500'000))}, false, std::max(now, entry.AskAt()));
      (void)entry.NextBoundary(now);
      (void)entry.WhatToAsk(now);
      (void)entry.Decide(now);
    }
    entry.RenewSucceeded({"lease/1", seconds(90), true}, kNow, {kNow, WallTime()}, 0.5);
    entry.FetchFailed(absl::NotFoundError("gone"), {kNow, WallTime()}, seconds(1), 0.5);
    (void)entry.TakeLeases(kNow);
  }
  EXPECT_GT(read, 1000);
}

TEST(KeptSecret, NamesAreDifferentForDifferentThings) {
  std::set<std::string> names;
  size_t count = 0;
  for (const char* store : {"a", "ab", "a/1:b"}) {
    for (const char* identity : {"", "b", "1:b/"}) {
      StoreSettings settings;
      settings.name = store;
      settings.identity = identity;
      for (const char* key : {"", "c", "c/1:d"}) {
        names.insert(KeptListingName(settings, key));
        ++count;
        for (const char* version : {"", "d"}) {
          names.insert(KeptSecretName(settings, {key, version}));
          ++count;
        }
      }
    }
  }
  EXPECT_EQ(names.size(), count);
  for (const std::string& name : names) EXPECT_TRUE(name.starts_with(kKeptPrefix)) << name;
}

TEST(KeptListing, ReadsWhatItWroteAndNothingElse) {
  SavedListing listing;
  listing.freshness.fetched = Moment{kNow, WallTime(hours(1))};
  listing.entries = std::make_shared<std::vector<providers::ListEntry>>(
      std::vector<providers::ListEntry>{{"a", true, false}, {"dir", true, true}});
  const SecretBytes written = WriteKeptListing(listing);
  const std::optional<SavedListing> read = ReadKeptListing(written.bytes(), kNow);
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->entries->size(), 2u);
  EXPECT_EQ((*read->entries)[1].name, "dir");
  EXPECT_TRUE((*read->entries)[1].is_prefix);
  EXPECT_EQ(WriteKeptListing(*read).ExposeAsText(), written.ExposeAsText());
  for (size_t size = 0; size < written.size(); ++size) {
    EXPECT_FALSE(ReadKeptListing(written.bytes().subspan(0, size), kNow).has_value()) << size;
  }
  EXPECT_FALSE(ReadKeptEntry(written.bytes(), kNow).has_value());
}

TEST(KeptSecret, AListingHoldsSingleNames) {
  for (const char* name : {"", ".", "..", "../other", "a/b", "/"}) {
    SavedListing listing;
    listing.freshness.fetched = Moment{kNow, WallTime()};
    listing.entries = std::make_shared<const std::vector<providers::ListEntry>>(
        std::vector<providers::ListEntry>{{.name = name, .is_secret = true, .is_prefix = false}});
    EXPECT_FALSE(ReadKeptListing(WriteKeptListing(listing).bytes(), kNow).has_value()) << name;
  }
}

}  // namespace
}  // namespace secretfs::cache
