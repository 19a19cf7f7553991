#include "cache/freshness.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace secretfs::cache {
namespace {

// Whether the failure is the store's word on the secret or on who asks. Everything else (no
// connection, but also a certificate that ran out or a damaged file) says nothing about the value.
bool IsAnswer(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
         absl::IsUnauthenticated(status) || absl::IsInvalidArgument(status);
}

}  // namespace

MonotonicTime SaturatingAdd(MonotonicTime time, Duration duration) {
  if (duration > Duration(0) && time > MonotonicTime::max() - duration) return MonotonicTime::max();
  return time + duration;
}

void Freshness::Succeed(const Moment& now, Duration bound, bool bound_alone) {
  state_.fetched = now;
  state_.bound = bound;
  state_.bound_alone = bound_alone;
  state_.fresh_limit = MonotonicTime::max();
  state_.must_ask = false;
  state_.last_error = absl::OkStatus();
  state_.failures_in_a_row = 0;
  state_.negative_until = MonotonicTime::min();
}

void Freshness::Fail(MonotonicTime now, absl::Status error, const Policy& policy) {
  state_.last_error = std::move(error);
  ++state_.failures_in_a_row;
  state_.failed_at = now;
  state_.negative_until = IsTransient(state_.last_error) ? MonotonicTime::min()
                                                         : SaturatingAdd(now, policy.negative_ttl);
}

void Freshness::MarkStale(MonotonicTime now) {
  state_.fresh_limit = std::min(state_.fresh_limit, now);
}

void Freshness::Clear() {
  state_.fetched.reset();
  state_.must_ask = false;
}

MonotonicTime Freshness::FreshUntil(const Policy& policy) const {
  const Duration fresh_for = state_.bound_alone ? state_.bound : std::min(policy.ttl, state_.bound);
  return std::min(state_.fresh_limit, SaturatingAdd(state_.fetched->monotonic, fresh_for));
}

MonotonicTime Freshness::StaleUntil(const Policy& policy) const {
  return SaturatingAdd(FreshUntil(policy), policy.max_stale);
}

MonotonicTime Freshness::ServedUntil(const Policy& policy) const {
  return SaturatingAdd(FreshUntil(policy), std::max(policy.max_stale, policy.stale_if_error));
}

Freshness::Age Freshness::AgeAt(MonotonicTime now, const Policy& policy) const {
  if (!has_value()) return Age::kNone;
  if (!state_.must_ask && now < FreshUntil(policy)) return Age::kFresh;
  if (!state_.must_ask && now < StaleUntil(policy)) return Age::kStale;
  return now < ServedUntil(policy) ? Age::kExpired : Age::kTooOld;
}

bool Freshness::store_is_down() const {
  return !state_.last_error.ok() && IsTransient(state_.last_error);
}

bool Freshness::UsableAt(MonotonicTime now, const Policy& policy) const {
  const Age age = AgeAt(now, policy);
  return age == Age::kFresh || age == Age::kStale ||
         (age == Age::kExpired && !state_.last_error.ok() && !IsAnswer(state_.last_error));
}

bool Freshness::UsableIfDownAt(MonotonicTime now, const Policy& policy) const {
  const Age age = AgeAt(now, policy);
  return age == Age::kFresh || age == Age::kStale || age == Age::kExpired;
}

ReadDecision Freshness::Decide(MonotonicTime now, const Policy& policy) const {
  if (UsableAt(now, policy)) {
    return AgeAt(now, policy) == Age::kFresh ? ReadDecision::kServe : ReadDecision::kServeAndAsk;
  }
  return now < state_.negative_until ? ReadDecision::kFail : ReadDecision::kAsk;
}

}  // namespace secretfs::cache
