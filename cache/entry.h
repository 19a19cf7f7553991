#pragma once

// What the cache knows of one secret, and the rules for it: how long it is fresh, when the store is
// to be asked again, when it is withdrawn, which leases it holds. Pure: time and chance are passed
// in, nothing is scheduled and no store is called. Not thread-safe.

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/cache.h"
#include "cache/freshness.h"
#include "cache/policy.h"
#include "providers/provider.h"

namespace secretfs::cache {

struct HeldLease {
  providers::Lease lease;
  MonotonicTime started;
  MonotonicTime ends;
  std::chrono::seconds first_duration{0};
  bool of_current_value = false;
};

// An entry that has a value, as it is kept beyond the process (cache/kept_secret.h).
struct SavedEntry {
  providers::SecretPtr secret;
  std::optional<Duration> time_to_live;
  Freshness::State freshness;
  double jitter = 0;
  MonotonicTime retry_at = MonotonicTime::min();
  bool deleted = false;
  std::optional<MonotonicTime> withdraw_at;
  std::vector<HeldLease> leases;
};

// Invariants. `secret_` is set exactly while `freshness_` has a value. A withdrawn entry has no
// secret. `deleted_` (the store said NotFound while we had a value) is cleared by any success and
// ends in a withdrawal. Every lease that was given and has not ended is in `leases_` until
// TakeLeases; the last one belongs to `secret_`.
class Entry {
 public:
  enum class Ask { kFetch, kRenew };

  explicit Entry(EntryKey key) : key_(std::move(key)) {}

  const EntryKey& key() const { return key_; }
  const Policy& policy() const { return policy_; }
  void set_policy(const Policy& policy) { policy_ = policy; }

  // --- what happened

  void FetchStarted() { ++fetches_; }
  // `started` is when the request went out. `jitter` in [0, 1) decides how much before the end of
  // the freshness the store is asked again.
  void FetchSucceeded(const providers::SecretPtr& secret, MonotonicTime started, const Moment& now,
                      double jitter);
  // `retry_delay` counts for transient failures; the next question after an answer is the policy's.
  void FetchFailed(absl::Status error, const Moment& now, Duration retry_delay, double jitter);
  void RenewSucceeded(const providers::Lease& granted, MonotonicTime started, const Moment& now,
                      double jitter);
  void RenewFailed(absl::Status error, const Moment& now, Duration retry_delay);
  // Somebody said that the secret changed at the store.
  void MarkStale(MonotonicTime now);
  // Gives the value's memory back; the entry is absent then.
  void Evict();
  // Lets time do what it does to the value: withdraws it after the grace or when too old.
  void AdvanceTo(MonotonicTime now);
  // A reader waits: ask again at `time` at the latest, whatever the backoff says.
  void RetryNotAfter(MonotonicTime time);

  // --- beyond the process

  // REQUIRES: has_value().
  SavedEntry Save() const;
  // What Save gave in an earlier process, perhaps one that was taken over: no time in it reaches
  // further than this entry's policy allows, and its value is compared with what the store gives
  // when it is asked for the first time, although the versions are the same. REQUIRES: nothing has
  // happened here yet.
  void Restore(SavedEntry saved, MonotonicTime now);
  // Changes whenever Save would give something else.
  uint64_t revision() const { return revision_; }

  // --- what readers may have

  EntryState StateAt(MonotonicTime now, bool asking) const;
  // Null unless a reader may have it.
  providers::SecretPtr UsableAt(MonotonicTime now) const;
  providers::SecretPtr UsableIfDownAt(MonotonicTime now) const;
  ReadDecision Decide(MonotonicTime now) const;
  bool has_value() const { return secret_ != nullptr; }
  size_t bytes() const;
  const absl::Status& last_error() const { return freshness_.last_error(); }
  const Freshness& freshness() const { return freshness_; }
  EntrySnapshot SnapshotAt(const Moment& now, bool asking,
                           std::optional<MonotonicTime> next_ask) const;

  // --- when and what to ask

  // When the store should be asked, if anybody cares: in the past for what was never fetched.
  MonotonicTime AskAt() const;
  Ask WhatToAsk(MonotonicTime now) const;
  // The state is as it should be; only then may questions be moved to be asked together.
  bool healthy() const { return freshness_.has_value() && freshness_.last_error().ok(); }
  // The next moment after `now` at which time alone changes the state.
  std::optional<MonotonicTime> NextBoundary(MonotonicTime now) const;

  // --- leases

  // The lease of the current value.
  const providers::Lease* current_lease() const;
  bool holds_leases() const { return !leases_.empty(); }
  // All leases that have not ended; the entry forgets them.
  std::vector<providers::Lease> TakeLeases(MonotonicTime now);

 private:
  const HeldLease* current() const;
  HeldLease* current() { return const_cast<HeldLease*>(std::as_const(*this).current()); }
  bool InGraceAt(MonotonicTime now) const;
  void NotFound(MonotonicTime now);
  void Withdraw();
  void HoldLease(const providers::Lease& lease, MonotonicTime started, MonotonicTime now);
  void Confirm(const std::optional<Duration>& time_to_live, const Moment& now, double jitter);

  const EntryKey key_;
  Policy policy_;
  providers::SecretPtr secret_;
  std::optional<Duration> time_to_live_;
  Freshness freshness_;
  double jitter_ = 0;
  // When to ask again after a failure.
  MonotonicTime retry_at_ = MonotonicTime::min();
  bool deleted_ = false;
  // Set while deleted_ if a grace was given.
  std::optional<MonotonicTime> withdraw_at_;
  bool withdrawn_ = false;
  bool unconfirmed_ = false;  // restored, and the store was not asked since
  uint64_t fetches_ = 0;
  uint64_t revision_ = 0;
  std::vector<HeldLease> leases_;
};

}  // namespace secretfs::cache
