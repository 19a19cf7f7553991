#pragma once

// What the tests of the cache share: a cache over a fake store, time and the I/O thread turned by
// hand. Every verb leaves the I/O thread with nothing to do. Not thread-safe.

#include <gtest/gtest.h>

#include <asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cache/cache.h"
#include "tests/fakes/fake_provider.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::cache {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr int kForever = fakes::FakeProvider::kForever;

// What a read or a listing came to; empty while it waits.
template <typename T>
struct Pending {
  std::optional<absl::StatusOr<T>> result;
  int calls = 0;
  bool waits() const { return !result.has_value(); }
  bool ok() const { return result.has_value() && result->ok(); }
  absl::Status status() const {
    return result.has_value() ? result->status() : absl::UnknownError("still waiting");
  }
};
using PendingRead = std::shared_ptr<Pending<EntrySnapshot>>;
using PendingList = std::shared_ptr<Pending<std::vector<providers::ListEntry>>>;

class RecordingListener final : public Listener {
 public:
  void OnEntriesChanged(std::span<const EntrySnapshot> entries) override {
    calls.emplace_back(entries.begin(), entries.end());
    if (on_call) on_call();
  }
  // "key=value" or "key:state" of each entry of call number `index`, in order.
  std::vector<std::string> Told(size_t index) const {
    std::vector<std::string> told;
    for (const EntrySnapshot& entry : calls.at(index)) {
      told.push_back(entry.secret == nullptr
                         ? Format("{}:{}", entry.key.ref.key, EntryStateName(entry.state))
                         : Format("{}={}", entry.key.ref.key, entry.secret->value.ExposeAsText()));
    }
    return told;
  }
  std::vector<std::vector<EntrySnapshot>> calls;
  std::function<void()> on_call;
};

class CacheTest : public ::testing::Test {
 protected:
  // Jitter and backoff: half of what they may be.
  explicit CacheTest(providers::Capabilities capabilities = {.list = true},
                     CacheOptions options = {})
      : options_(options), capabilities_(capabilities) {
    store_ = AddStore("vault", provider_);
  }

  StoreId AddStore(const std::string& name, std::shared_ptr<fakes::FakeProvider>& provider,
                   StoreSettings settings = {}) {
    provider = std::make_shared<fakes::FakeProvider>(capabilities_);
    settings.name = name;
    settings.identity = "me";
    settings.provider = provider;
    return cache().AddStore(std::move(settings));
  }

  Cache& cache() {
    if (!cache_) {
      cache_ = std::make_unique<Cache>(options_, context_, clock_, clock_, random_);
    }
    return *cache_;
  }

  void Poll() {
    context_.restart();
    context_.poll();
  }
  void Advance(Duration by) {
    Poll();
    clock_.Advance(by, [this] { Poll(); });
  }

  EntryKey Key(const std::string& key, const std::string& version = "") {
    return {store_, {key, version}};
  }
  PendingRead StartRead(const EntryKey& key) {
    auto pending = std::make_shared<Pending<EntrySnapshot>>();
    cache().Read(key, [pending](absl::StatusOr<EntrySnapshot> result) {
      ++pending->calls;
      pending->result = std::move(result);
    });
    return pending;
  }
  PendingRead Read(const EntryKey& key) {
    PendingRead pending = StartRead(key);
    Poll();
    return pending;
  }
  PendingRead Read(const std::string& key) { return Read(Key(key)); }
  PendingRead Refresh(const std::string& key) {
    auto pending = std::make_shared<Pending<EntrySnapshot>>();
    cache().Refresh(Key(key), [pending](absl::StatusOr<EntrySnapshot> result) {
      ++pending->calls;
      pending->result = std::move(result);
    });
    Poll();
    return pending;
  }
  PendingList List(const std::string& prefix, const Policy& policy = {}, bool force = false) {
    auto pending = std::make_shared<Pending<std::vector<providers::ListEntry>>>();
    cache().List(store_, prefix, policy, force,
                 [pending](absl::StatusOr<std::vector<providers::ListEntry>> result) {
                   ++pending->calls;
                   pending->result = std::move(result);
                 });
    Poll();
    return pending;
  }
  Interest Mount(const std::string& key, const Policy& policy = {}, bool pinned = true,
                 Listener* listener = nullptr) {
    Interest interest = cache().AddInterest(Key(key), policy, pinned, listener);
    Poll();
    return interest;
  }

  // What the cache knows of `key` now, without asking for it; absent if it knows nothing.
  EntrySnapshot Known(const std::string& key) {
    EntrySnapshot result;
    cache().Status([&](std::vector<EntrySnapshot> all) {
      for (EntrySnapshot& snapshot : all) {
        if (snapshot.key == Key(key)) result = std::move(snapshot);
      }
    });
    Poll();
    return result;
  }
  size_t KnownEntries() {
    size_t count = 0;
    cache().Status([&](const std::vector<EntrySnapshot>& all) { count = all.size(); });
    Poll();
    return count;
  }

  static std::string Text(const PendingRead& read) {
    if (read->waits()) return "(waits)";
    if (!read->ok()) return read->status().ToString();
    return Text(**read->result);
  }
  static std::string Text(const EntrySnapshot& snapshot) {
    if (snapshot.secret == nullptr) return "(none)";
    return std::string(snapshot.secret->value.ExposeAsText());
  }
  static std::string State(const EntrySnapshot& snapshot) {
    return std::string(EntryStateName(snapshot.state));
  }
  static std::string Names(const PendingList& list) {
    if (list->waits()) return "(waits)";
    if (!list->ok()) return list->status().ToString();
    std::string names;
    for (const providers::ListEntry& entry : **list->result) {
      names += (names.empty() ? "" : " ") + entry.name + (entry.is_prefix ? "/" : "") +
               (entry.is_secret ? "" : "-");
    }
    return names;
  }

  CacheOptions options_;
  const providers::Capabilities capabilities_;
  asio::io_context context_;
  fakes::ManualClock clock_;
  fakes::FixedRandom random_{0.5};
  std::unique_ptr<Cache> cache_;
  std::shared_ptr<fakes::FakeProvider> provider_;
  StoreId store_;
};

}  // namespace secretfs::cache
