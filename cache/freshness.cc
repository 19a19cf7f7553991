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
  fetched_ = now;
  bound_ = bound;
  bound_alone_ = bound_alone;
  fresh_limit_ = MonotonicTime::max();
  must_ask_ = false;
  last_error_ = absl::OkStatus();
  failures_in_a_row_ = 0;
  negative_until_ = MonotonicTime::min();
}

void Freshness::Fail(MonotonicTime now, absl::Status error, const Policy& policy) {
  last_error_ = std::move(error);
  ++failures_in_a_row_;
  failed_at_ = now;
  negative_until_ =
      IsTransient(last_error_) ? MonotonicTime::min() : SaturatingAdd(now, policy.negative_ttl);
}

void Freshness::MarkStale(MonotonicTime now) { fresh_limit_ = std::min(fresh_limit_, now); }

void Freshness::Clear() {
  fetched_.reset();
  must_ask_ = false;
}

MonotonicTime Freshness::FreshUntil(const Policy& policy) const {
  const Duration fresh_for = bound_alone_ ? bound_ : std::min(policy.ttl, bound_);
  return std::min(fresh_limit_, SaturatingAdd(fetched_->monotonic, fresh_for));
}

MonotonicTime Freshness::StaleUntil(const Policy& policy) const {
  return SaturatingAdd(FreshUntil(policy), policy.max_stale);
}

MonotonicTime Freshness::ServedUntil(const Policy& policy) const {
  return SaturatingAdd(FreshUntil(policy), std::max(policy.max_stale, policy.stale_if_error));
}

Freshness::Age Freshness::AgeAt(MonotonicTime now, const Policy& policy) const {
  if (!has_value()) return Age::kNone;
  if (!must_ask_ && now < FreshUntil(policy)) return Age::kFresh;
  if (!must_ask_ && now < StaleUntil(policy)) return Age::kStale;
  return now < ServedUntil(policy) ? Age::kExpired : Age::kTooOld;
}

bool Freshness::store_is_down() const { return !last_error_.ok() && IsTransient(last_error_); }

bool Freshness::UsableAt(MonotonicTime now, const Policy& policy) const {
  const Age age = AgeAt(now, policy);
  return age == Age::kFresh || age == Age::kStale ||
         (age == Age::kExpired && !last_error_.ok() && !IsAnswer(last_error_));
}

bool Freshness::UsableIfDownAt(MonotonicTime now, const Policy& policy) const {
  const Age age = AgeAt(now, policy);
  return age == Age::kFresh || age == Age::kStale || age == Age::kExpired;
}

ReadDecision Freshness::Decide(MonotonicTime now, const Policy& policy) const {
  if (UsableAt(now, policy)) {
    return AgeAt(now, policy) == Age::kFresh ? ReadDecision::kServe : ReadDecision::kServeAndAsk;
  }
  return now < negative_until_ ? ReadDecision::kFail : ReadDecision::kAsk;
}

}  // namespace secretfs::cache
