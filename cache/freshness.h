#pragma once

// How old something that a store told us may get before readers must not have it any more: the part
// of the cache's rules that secrets and listings share. Pure: time is passed in, nothing is
// scheduled and nothing is fetched. Not thread-safe.

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/clock.h"
#include "cache/policy.h"

namespace secretfs::cache {

// `time` + `duration`, or the end of time where that would overflow.
MonotonicTime SaturatingAdd(MonotonicTime time, Duration duration);

// One instant on both clocks.
struct Moment {
  MonotonicTime monotonic;
  WallTime wall;
};

enum class ReadDecision {
  kServe,        // from the cache
  kServeAndAsk,  // from the cache, and the store should be asked
  kFail,         // with the last error, which is remembered for the negative TTL
  kAsk,          // the reader has to wait for the store
};

// Invariants. A value is held exactly while `fetched` is set. Seen from the last success, time is
// cut by three points, in this order:
//
//     success ...... FreshUntil ...... StaleUntil ...... ServedUntil ......
//       fresh            stale           expired            too old
//
// and an expired value may be served only while the last attempt failed transiently.
class Freshness {
 public:
  enum class Age { kNone, kFresh, kStale, kExpired, kTooOld };

  // All that it knows, for keeping it beyond the process.
  struct State {
    std::optional<Moment> fetched;
    Duration bound = Duration::max();
    bool bound_alone = false;
    MonotonicTime fresh_limit = MonotonicTime::max();
    bool must_ask = false;
    absl::Status last_error;
    int failures_in_a_row = 0;
    MonotonicTime failed_at = MonotonicTime::min();
    MonotonicTime negative_until = MonotonicTime::min();
  };
  const State& state() const { return state_; }
  void set_state(State state) { state_ = std::move(state); }

  // The store gave or confirmed a value. It is fresh for the shorter of `bound` and the policy's
  // TTL, or for `bound` alone.
  void Succeed(const Moment& now, Duration bound, bool bound_alone);
  void Fail(MonotonicTime now, absl::Status error, const Policy& policy);
  // The value is not fresh any more, but may be served while the store is asked.
  void MarkStale(MonotonicTime now);
  // The value may be served only if the store turns out to be down.
  void MarkExpired() { state_.must_ask = true; }
  // The value is dropped; errors stay.
  void Clear();
  // A remembered NotFound or denial does not count any more.
  void ForgetNegative() { state_.negative_until = MonotonicTime::min(); }

  Age AgeAt(MonotonicTime now, const Policy& policy) const;
  bool UsableAt(MonotonicTime now, const Policy& policy) const;
  // As UsableAt, if the store were down.
  bool UsableIfDownAt(MonotonicTime now, const Policy& policy) const;
  ReadDecision Decide(MonotonicTime now, const Policy& policy) const;

  // REQUIRES: has_value().
  MonotonicTime FreshUntil(const Policy& policy) const;
  MonotonicTime StaleUntil(const Policy& policy) const;
  MonotonicTime ServedUntil(const Policy& policy) const;

  bool has_value() const { return state_.fetched.has_value(); }
  const std::optional<Moment>& fetched() const { return state_.fetched; }
  // Of the last attempt; OK after a success.
  const absl::Status& last_error() const { return state_.last_error; }
  int failures_in_a_row() const { return state_.failures_in_a_row; }
  MonotonicTime failed_at() const { return state_.failed_at; }
  MonotonicTime negative_until() const { return state_.negative_until; }
  // The last attempt failed in a way that a later one may not.
  bool store_is_down() const;

 private:
  State state_;
};

}  // namespace secretfs::cache
