#include "cache/entry.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace secretfs::cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How soon a NotFound is confirmed when the manifest sets no grace.
constexpr Duration kConfirmDeletion = seconds(5);
// A policy or a store that asks for less would make the cache ask in a busy loop.
constexpr Duration kLeastInterval = milliseconds(10);
// What is missing is looked for this often even if its values would be good for longer, or for
// ever.
constexpr Duration kLongestNegative = std::chrono::hours(1);
constexpr Duration kLeastTimeToLive = seconds(1);
constexpr size_t kLongestLeaseId = 4096;
constexpr size_t kMostLeases = 1024;

// Up to a tenth earlier.
Duration Jittered(Duration duration, double jitter) {
  return duration - std::chrono::duration_cast<Duration>(duration * (0.1 * jitter));
}

bool HasSameContent(const providers::Secret& a, const providers::Secret& b) {
  return a.value.ConstantTimeEquals(b.value) && a.fields.size() == b.fields.size() &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first &&
                             one.second.ConstantTimeEquals(other.second);
                    });
}

// What a process that was taken over could have written to be believed for longer than anything
// that it was told.
void BoundBy(const Policy& policy, MonotonicTime now, SavedEntry& saved) {
  Freshness::State& freshness = saved.freshness;
  freshness.negative_until =
      std::min(freshness.negative_until, SaturatingAdd(now, policy.negative_ttl));
  saved.retry_at =
      std::min(saved.retry_at, SaturatingAdd(now, std::max(kLongestNegative, policy.negative_ttl)));
  if (!policy.grace_on_delete.has_value()) {
    saved.withdraw_at.reset();
  } else if (saved.withdraw_at.has_value()) {
    saved.withdraw_at = std::min(*saved.withdraw_at, SaturatingAdd(now, *policy.grace_on_delete));
  }
  std::erase_if(saved.leases, [](const HeldLease& held) {
    return held.lease.id.empty() || held.lease.id.size() > kLongestLeaseId;
  });
  if (saved.leases.size() > kMostLeases) saved.leases.clear();
  for (HeldLease& held : saved.leases) {
    held.ends = std::min(held.ends, SaturatingAdd(held.started, held.lease.duration));
  }
  // Only a lease that cannot be renewed takes the place of the policy's TTL.
  const HeldLease* current = saved.leases.empty() ? nullptr : &saved.leases.back();
  if (current == nullptr || !current->of_current_value || current->lease.renewable) {
    freshness.bound_alone = false;
  } else if (freshness.bound_alone) {
    freshness.bound = std::min<Duration>(
        freshness.bound, std::max<Duration>(Duration(0), current->ends - current->started));
  }
}

bool IsDenied(const absl::Status& status) {
  return status.code() == absl::StatusCode::kPermissionDenied ||
         status.code() == absl::StatusCode::kUnauthenticated;
}

}  // namespace

std::string_view EntryStateName(EntryState state) {
  switch (state) {
    case EntryState::kAbsent:
      return "absent";
    case EntryState::kFetching:
      return "fetching";
    case EntryState::kFresh:
      return "fresh";
    case EntryState::kStale:
      return "stale";
    case EntryState::kExpired:
      return "expired";
    case EntryState::kGone:
      return "gone";
  }
  return "unknown";
}

// --- what happened

void Entry::FetchSucceeded(const providers::SecretPtr& secret, MonotonicTime started,
                           const Moment& now, double jitter) {
  ++revision_;
  // Equal versions have equal values, so the object that readers already hold stays, and nothing
  // has to be published. What another process left may say any version.
  const bool same = secret_ != nullptr && secret_->version == secret->version &&
                    (!unconfirmed_ || HasSameContent(*secret_, *secret));
  unconfirmed_ = false;
  if (!same) secret_ = secret;
  withdrawn_ = false;
  deleted_ = false;
  withdraw_at_.reset();
  time_to_live_ = secret->time_to_live;
  if (secret->lease.has_value()) {
    HoldLease(*secret->lease, started, now.monotonic);
  } else if (!same) {
    for (HeldLease& held : leases_) held.of_current_value = false;
  }
  Confirm(time_to_live_, now, jitter);
}

// The value is good as of `now`, for the shortest of what the policy, the store and the lease say.
// A lease that cannot be renewed counts alone: asking again before it nears its end would make
// another credential for every TTL.
void Entry::Confirm(const std::optional<Duration>& time_to_live, const Moment& now, double jitter) {
  Duration bound = Duration::max();
  bool bound_alone = false;
  if (time_to_live.has_value()) bound = std::max(*time_to_live, kLeastTimeToLive);
  if (const HeldLease* held = current(); held != nullptr && held->lease.duration.count() > 0) {
    bound = std::min<Duration>(bound, held->ends - now.monotonic);
    bound_alone = !held->lease.renewable;
  }
  jitter_ = jitter;
  retry_at_ = MonotonicTime::min();
  freshness_.Succeed(now, bound, bound_alone);
}

void Entry::FetchFailed(absl::Status error, const Moment& now, Duration retry_delay,
                        double jitter) {
  ++revision_;
  const bool transient = IsTransient(error);
  const bool denied = IsDenied(error);
  const bool not_found = error.code() == absl::StatusCode::kNotFound;
  freshness_.Fail(now.monotonic, std::move(error), policy_);
  const Duration ttl = Jittered(std::min(policy_.ttl, kLongestNegative), jitter);
  const Duration next =
      transient ? retry_delay : std::max({ttl, policy_.negative_ttl, kLeastInterval});
  retry_at_ = SaturatingAdd(now.monotonic, next);
  if (denied) Withdraw();
  if (not_found) NotFound(now.monotonic);
}

void Entry::NotFound(MonotonicTime now) {
  if (secret_ == nullptr) return;
  const bool confirmed = std::exchange(deleted_, true);
  if (!policy_.grace_on_delete.has_value()) {
    if (confirmed) return Withdraw();
    retry_at_ = std::min(retry_at_, now + std::min(policy_.ttl, kConfirmDeletion));
    return;
  }
  if (!withdraw_at_.has_value()) withdraw_at_ = SaturatingAdd(now, *policy_.grace_on_delete);
  AdvanceTo(now);
}

void Entry::RenewSucceeded(const providers::Lease& granted, MonotonicTime started,
                           const Moment& now, double jitter) {
  ++revision_;
  HeldLease* held = current();
  if (held == nullptr) return;
  held->lease = granted;
  held->started = started;
  held->ends = SaturatingAdd(started, granted.duration);
  // A store that grants clearly less than at first has reached the lease's longest life: the rest
  // is used up, and a new credential is fetched in time.
  if (granted.duration * 10 < held->first_duration * 9) held->lease.renewable = false;
  Confirm(time_to_live_, now, jitter);
}

void Entry::RenewFailed(absl::Status error, const Moment& now, Duration retry_delay) {
  ++revision_;
  const bool transient = IsTransient(error);
  freshness_.Fail(now.monotonic, std::move(error), policy_);
  retry_at_ = now.monotonic;
  HeldLease* held = current();
  if (held == nullptr) return;
  if (transient) {
    retry_at_ = SaturatingAdd(now.monotonic, retry_delay);
  } else {
    held->lease.renewable = false;
  }
}

void Entry::MarkStale(MonotonicTime now) {
  ++revision_;
  freshness_.MarkStale(now);
  freshness_.ForgetNegative();
}

void Entry::Evict() {
  ++revision_;
  secret_.reset();
  freshness_.Clear();
  deleted_ = false;
  withdraw_at_.reset();
  for (HeldLease& held : leases_) held.of_current_value = false;
}

void Entry::Withdraw() {
  Evict();
  withdrawn_ = true;
}

void Entry::AdvanceTo(MonotonicTime now) {
  if (secret_ == nullptr || InGraceAt(now)) return;
  if (withdraw_at_.has_value() || freshness_.AgeAt(now, policy_) == Freshness::Age::kTooOld) {
    Withdraw();
  }
}

void Entry::RetryNotAfter(MonotonicTime time) { retry_at_ = std::min(retry_at_, time); }

// --- beyond the process

SavedEntry Entry::Save() const {
  return {secret_,   time_to_live_, freshness_.state(), jitter_,
          retry_at_, deleted_,      withdraw_at_,       leases_};
}

void Entry::Restore(SavedEntry saved, MonotonicTime now) {
  ++revision_;
  BoundBy(policy_, now, saved);
  unconfirmed_ = true;
  secret_ = std::move(saved.secret);
  time_to_live_ = saved.time_to_live;
  freshness_.set_state(std::move(saved.freshness));
  jitter_ = saved.jitter;
  retry_at_ = saved.retry_at;
  deleted_ = saved.deleted;
  withdraw_at_ = saved.withdraw_at;
  leases_ = std::move(saved.leases);
}

// --- what readers may have

bool Entry::InGraceAt(MonotonicTime now) const {
  return withdraw_at_.has_value() && now < *withdraw_at_;
}

EntryState Entry::StateAt(MonotonicTime now, bool asking) const {
  if (secret_ == nullptr) {
    if (withdrawn_) return EntryState::kGone;
    return asking ? EntryState::kFetching : EntryState::kAbsent;
  }
  if (withdraw_at_.has_value() && !InGraceAt(now)) return EntryState::kGone;
  switch (freshness_.AgeAt(now, policy_)) {
    case Freshness::Age::kFresh:
      return EntryState::kFresh;
    case Freshness::Age::kStale:
      return EntryState::kStale;
    case Freshness::Age::kExpired:
      return InGraceAt(now) ? EntryState::kStale : EntryState::kExpired;
    default:
      return InGraceAt(now) ? EntryState::kStale : EntryState::kGone;
  }
}

providers::SecretPtr Entry::UsableAt(MonotonicTime now) const {
  if (withdraw_at_.has_value()) return InGraceAt(now) ? secret_ : nullptr;
  return freshness_.UsableAt(now, policy_) ? secret_ : nullptr;
}

providers::SecretPtr Entry::UsableIfDownAt(MonotonicTime now) const {
  if (withdraw_at_.has_value()) return InGraceAt(now) ? secret_ : nullptr;
  return freshness_.UsableIfDownAt(now, policy_) ? secret_ : nullptr;
}

ReadDecision Entry::Decide(MonotonicTime now) const {
  if (InGraceAt(now)) return ReadDecision::kServeAndAsk;
  return freshness_.Decide(now, policy_);
}

size_t Entry::bytes() const {
  if (secret_ == nullptr) return 0;
  size_t bytes = secret_->value.size();
  for (const auto& [name, value] : secret_->fields) bytes += value.size();
  return bytes;
}

EntrySnapshot Entry::SnapshotAt(const Moment& now, bool asking,
                                std::optional<MonotonicTime> next_ask) const {
  EntrySnapshot snapshot;
  snapshot.key = key_;
  snapshot.state = StateAt(now.monotonic, asking);
  snapshot.secret = UsableAt(now.monotonic);
  snapshot.last_error = freshness_.last_error();
  if (freshness_.has_value()) {
    const Moment& fetched = *freshness_.fetched();
    snapshot.fetched_at = fetched.wall;
    const MonotonicTime fresh_until = freshness_.FreshUntil(policy_);
    if (fresh_until != MonotonicTime::max()) {
      snapshot.expires_at = fetched.wall + (fresh_until - fetched.monotonic);
    }
  }
  if (next_ask.has_value()) {
    snapshot.next_refresh_at = now.wall + std::max(*next_ask - now.monotonic, Duration(0));
  }
  snapshot.fetches = fetches_;
  snapshot.failures_in_a_row = freshness_.failures_in_a_row();
  return snapshot;
}

// --- when and what to ask

MonotonicTime Entry::AskAt() const {
  if (!freshness_.last_error().ok()) {
    const HeldLease* held = current();
    if (held == nullptr || !held->lease.renewable || !freshness_.store_is_down()) return retry_at_;
    // Past this point a new credential is fetched instead of renewing the old one.
    const MonotonicTime last_chance =
        held->started + std::chrono::duration_cast<Duration>(held->lease.duration * 0.9);
    return freshness_.failed_at() < last_chance ? std::min(retry_at_, last_chance) : retry_at_;
  }
  if (!freshness_.has_value()) return MonotonicTime::min();
  const MonotonicTime fetched = freshness_.fetched()->monotonic;
  const MonotonicTime fresh_until = freshness_.FreshUntil(policy_);
  MonotonicTime ask_at = MonotonicTime::max();
  if (fresh_until != MonotonicTime::max()) {
    ask_at = fetched + Jittered(fresh_until - fetched, jitter_);
  }
  if (const HeldLease* held = current(); held != nullptr && held->lease.duration.count() > 0) {
    ask_at =
        std::min<MonotonicTime>(ask_at, held->started + Duration(held->lease.duration) * 2 / 3);
  }
  return std::max<MonotonicTime>(ask_at, fetched + kLeastInterval);
}

Entry::Ask Entry::WhatToAsk(MonotonicTime now) const {
  const HeldLease* held = current();
  if (held == nullptr || !held->lease.renewable || held->lease.duration.count() == 0) {
    return Ask::kFetch;
  }
  const auto chance = std::chrono::duration_cast<Duration>(held->lease.duration * 0.9);
  return now < held->started + chance ? Ask::kRenew : Ask::kFetch;
}

std::optional<MonotonicTime> Entry::NextBoundary(MonotonicTime now) const {
  if (secret_ == nullptr) return std::nullopt;
  if (withdraw_at_.has_value()) return withdraw_at_;
  for (const MonotonicTime boundary :
       {freshness_.FreshUntil(policy_), freshness_.StaleUntil(policy_),
        freshness_.ServedUntil(policy_)}) {
    if (boundary > now && boundary != MonotonicTime::max()) return boundary;
  }
  return std::nullopt;
}

// --- leases

const HeldLease* Entry::current() const {
  return leases_.empty() || !leases_.back().of_current_value ? nullptr : &leases_.back();
}

const providers::Lease* Entry::current_lease() const {
  const HeldLease* held = current();
  return held == nullptr ? nullptr : &held->lease;
}

void Entry::HoldLease(const providers::Lease& lease, MonotonicTime started, MonotonicTime now) {
  // A credential that was replaced may still be in use by whoever read it: its lease is left to end
  // by itself, and is given back with the others.
  std::erase_if(leases_, [now](const HeldLease& held) { return held.ends <= now; });
  for (HeldLease& held : leases_) held.of_current_value = false;
  const MonotonicTime ends =
      lease.duration.count() == 0 ? MonotonicTime::max() : SaturatingAdd(started, lease.duration);
  leases_.push_back({lease, started, ends, lease.duration, true});
}

std::vector<providers::Lease> Entry::TakeLeases(MonotonicTime now) {
  ++revision_;
  std::vector<providers::Lease> result;
  for (HeldLease& held : leases_) {
    if (held.ends > now) result.push_back(std::move(held.lease));
  }
  leases_.clear();
  return result;
}

}  // namespace secretfs::cache
