#pragma once

// Whether one store may be asked now: concurrency limit, token bucket, the pause that the store
// asked for, and the circuit breaker. Pure: time and chance are passed in. Not thread-safe.

#include <optional>

#include "absl/status/status.h"
#include "base/clock.h"

namespace secretfs::cache {

class StoreGate {
 public:
  struct Limits {
    size_t concurrent_requests = 64;
    double requests_per_second = 0;  // 0 = unlimited; a second's worth may go out at once
    int breaker_failures = 10;
    Duration backoff_first{};
    Duration backoff_most{};
  };
  struct Admission {
    bool admitted = false;
    // Ask again then. Neither admitted nor set: when a running request has finished.
    std::optional<MonotonicTime> at;
  };

  explicit StoreGate(const Limits& limits);

  Admission Ask(MonotonicTime now) const;
  // REQUIRES: admitted.
  void Started(MonotonicTime now);
  // A request that went out at `started` ended. Transient failures count against the store;
  // anything else is an answer and proves that it is up. Returns true when that closed the breaker.
  bool Finished(MonotonicTime now, MonotonicTime started, const absl::Status& status,
                double uniform);

  // The store failed so often that it is only probed.
  bool broken() const { return failures_in_a_row_ >= limits_.breaker_failures; }
  // A reader's request may be the probe now (after ProbeNow). Earlier than the backoff has it where
  // that is long: whoever reads after an outage must not find it going on for a minute.
  bool ProbeDueAt(MonotonicTime now) const;
  bool probing() const { return probe_started_.has_value(); }
  // Somebody insists: the probe is due.
  void ProbeNow(MonotonicTime now);
  const absl::Status& last_error() const { return last_error_; }
  size_t running() const { return running_; }

 private:
  double TokensAt(MonotonicTime now) const;

  const Limits limits_;
  size_t running_ = 0;
  double tokens_;
  MonotonicTime refilled_at_ = MonotonicTime::min();
  MonotonicTime paused_until_ = MonotonicTime::min();
  // Failures one after the other: of requests that ran side by side, one counts, so that many
  // readers who met the same short outage do not open the breaker.
  int failures_in_a_row_ = 0;
  MonotonicTime counted_at_ = MonotonicTime::min();
  MonotonicTime probe_at_ = MonotonicTime::min();
  MonotonicTime probe_failed_at_ = MonotonicTime::min();  // or when the breaker opened
  std::optional<MonotonicTime> probe_started_;
  absl::Status last_error_;
};

}  // namespace secretfs::cache
