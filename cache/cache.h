#pragma once

// The cache between readers and stores: one entry per store+identity, key and version selector, one
// fetch however many readers want it, refreshed before anybody waits. See docs/architecture.md.
//
// An Interest says "this key is mounted" and keeps its entry alive; a Listener hears of every
// change of an entry that it has an interest in. Values are immutable (SecretPtr) and shared.
//
// States: absent -> fetching -> fresh -> stale (served, refresh due or running) -> expired (served
// only while the store is down and staleIfError allows) -> gone (withdrawn: deleted, denied, or too
// old).
//
// Thread-safety: every public function may be called from any thread and returns at once; the work
// is done on the I/O thread, where callbacks and listeners are called too, never from inside the
// call. The cache does not know any concrete provider, filesystem or manifest.

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/kept_values.h"
#include "base/random.h"
#include "base/scheduler.h"
#include "base/strong_id.h"
#include "cache/policy.h"
#include "providers/provider.h"

namespace secretfs::cache {

using StoreId = StrongId<struct StoreIdTag, uint32_t>;

struct EntryKey {
  StoreId store;
  providers::SecretRef ref;
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

enum class EntryState { kAbsent, kFetching, kFresh, kStale, kExpired, kGone };
// "absent", "fetching", "fresh", "stale", "expired", "gone": the words of status and xattrs.
std::string_view EntryStateName(EntryState state);

// What the cache knows of an entry at one moment; a copy, never a value's bytes beyond the pointer.
struct EntrySnapshot {
  EntryKey key;
  EntryState state = EntryState::kAbsent;
  providers::SecretPtr secret;  // null unless the state lets readers have it
  absl::Status last_error;      // of the last attempt; OK after a success
  std::optional<WallTime> fetched_at;
  std::optional<WallTime> expires_at;       // when the value stops being fresh
  std::optional<WallTime> next_refresh_at;  // when the next attempt is due
  uint64_t fetches = 0;                     // requests made for this entry, failed ones included
  uint64_t failures_in_a_row = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;
  // Entries whose secret, state, error or time of fetching changed, together: what one batch or one watch event of a
  // store brought arrives in one call. Called on the I/O thread, before the callbacks of reads that
  // waited for the same entries.
  virtual void OnEntriesChanged(std::span<const EntrySnapshot> entries) = 0;
};

struct StoreSettings {
  std::string name;      // as the manifest calls it; appears in errors and status
  std::string identity;  // digest of who asks; two identities never share entries
  std::shared_ptr<providers::Provider> provider;
  size_t concurrent_requests = 64;
  double requests_per_second = 0;  // token bucket; 0 = unlimited
  std::string watch_prefix{};      // what Provider::Watch is asked to watch
};

struct CacheOptions {
  // Bytes of values kept; least recently used entries without a pinned interest go first.
  size_t byte_limit = 64 << 20;
  Duration backoff_first = std::chrono::milliseconds(200);
  Duration backoff_most = std::chrono::seconds(60);
  // A store+identity that failed this often in a row is asked by one probe at a time until one
  // succeeds; readers of uncached values fail at once meanwhile, with the last error.
  int circuit_breaker_failures = 10;
  // Entries of an unpinned interest that nobody read for this many TTLs are not refreshed.
  int idle_ttls = 10;
  // Where values, their times and their leases outlive this process; may be null, outlives the
  // cache. An entry with an interest that finds itself there goes on as if it had been fetched
  // here: nothing is asked just because the process is new.
  KeptValues* kept = nullptr;
};

class Cache;

// Keeps an entry mounted; move-only; dropping it ends the interest. REQUIRES: the cache outlives
// it.
class Interest {
 public:
  Interest() = default;
  Interest(Interest&& other) noexcept;
  Interest& operator=(Interest&& other) noexcept;
  Interest(const Interest&) = delete;
  Interest& operator=(const Interest&) = delete;
  ~Interest();

 private:
  friend class Cache;
  Interest(Cache* cache, uint64_t id) : cache_(cache), id_(id) {}
  Cache* cache_ = nullptr;
  uint64_t id_ = 0;
};

class Cache {
 public:
  using ReadCallback = std::function<void(absl::StatusOr<EntrySnapshot>)>;
  using ListCallback = std::function<void(absl::StatusOr<std::vector<providers::ListEntry>>)>;

  // All references outlive the cache. The constructor may be called on any thread.
  Cache(CacheOptions options, asio::io_context& context, const Clock& clock, Scheduler& scheduler,
        Random& random);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Adds a store, or returns the id of the one with the same name and identity.
  StoreId AddStore(StoreSettings settings);
  providers::Capabilities StoreCapabilities(StoreId store) const;

  // Declares that `key` is mounted. Nothing is fetched. `pinned` (named by a manifest): never
  // evicted, refreshed for as long as the interest lives once it was fetched. `listener` may be
  // null; otherwise it must stay valid until the call RemoveListener(listener) has returned.
  Interest AddInterest(EntryKey key, Policy policy, bool pinned, Listener* listener);
  // After this returns, `listener` is not called any more. Not from the I/O thread.
  void RemoveListener(Listener* listener);

  // The value of `key`: at once from the cache where its state lets it be served, otherwise after
  // one fetch shared by all readers, within the entry's deadline (of its strictest interest; the
  // default policy's without one). Errors: as the provider's; DeadlineExceeded naming the
  // store's last error. `callback` runs exactly once, on the I/O thread.
  void Read(EntryKey key, ReadCallback callback);

  // Fetches what is absent among `keys`, in as few requests as the store can (one snapshot where
  // the store has those); each callback of a later Read sees it. For all files of an atomic mount.
  void Prefetch(std::vector<EntryKey> keys);

  // Asks the store now, whatever the state; then as Read.
  void Refresh(EntryKey key, ReadCallback callback);

  // All names below `prefix` of the store, all pages; cached for `policy.ttl`, single flight.
  // `force` asks the store now.
  void List(StoreId store, std::string prefix, Policy policy, bool force, ListCallback callback);

  // Snapshots of all entries, delivered on the I/O thread.
  void Status(std::function<void(std::vector<EntrySnapshot>)> callback);
  std::string StoreName(StoreId store) const;

  // Revokes all leases, closes the providers, erases what was kept and stops all timers, within
  // `deadline`; then `done` on the I/O thread. Reads afterwards fail with Cancelled.
  void Shutdown(Duration deadline, std::function<void()> done);
  // The other way to end, when another server goes on: leases, the providers' tokens and what was
  // kept stay. Callbacks that wait, and those of later calls, are dropped without being called:
  // what they would answer is for the next server. Interests that are dropped from now on change
  // nothing.
  void HandOver(Duration deadline, std::function<void()> done);

  // Erases kept values that no interest has claimed: what an earlier server had mounted, but this
  // one has not. For when everything is mounted again.
  void ForgetUnclaimed();

 private:
  friend class Interest;
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace secretfs::cache
