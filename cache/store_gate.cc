#include "cache/store_gate.h"

#include <algorithm>

#include "base/status.h"
#include "cache/backoff.h"

namespace secretfs::cache {
namespace {

// A broken store may ask for any pause; we come back at least this often.
constexpr Duration kLongestPause = std::chrono::hours(1);
// Readers may send a probe this long after the last one.
constexpr Duration kReadersProbe = std::chrono::seconds(5);

double Capacity(const StoreGate::Limits& limits) {
  return std::max(1.0, limits.requests_per_second);
}

}  // namespace

StoreGate::StoreGate(const Limits& limits) : limits_(limits), tokens_(Capacity(limits)) {}

double StoreGate::TokensAt(MonotonicTime now) const {
  if (refilled_at_ == MonotonicTime::min()) return tokens_;
  const double seconds = std::chrono::duration<double>(now - refilled_at_).count();
  return std::min(Capacity(limits_), tokens_ + seconds * limits_.requests_per_second);
}

StoreGate::Admission StoreGate::Ask(MonotonicTime now) const {
  if (running_ >= std::max<size_t>(1, limits_.concurrent_requests)) return {};
  if (now < paused_until_) return {false, paused_until_};
  if (broken()) {
    if (probing()) return {};
    if (now < probe_at_) return {false, probe_at_};
  }
  if (limits_.requests_per_second > 0) {
    // A sliver is forgiven: the time of the next whole token is rounded to nanoseconds.
    const double missing = 1.0 - 1e-6 - TokensAt(now);
    if (missing > 0) {
      const std::chrono::duration<double> wait((missing + 1e-6) / limits_.requests_per_second);
      return {false, now + std::chrono::ceil<Duration>(wait)};
    }
  }
  return {true, std::nullopt};
}

void StoreGate::Started(MonotonicTime now) {
  ++running_;
  if (broken()) probe_started_ = now;
  if (limits_.requests_per_second > 0) {
    tokens_ = TokensAt(now) - 1.0;
    refilled_at_ = now;
  }
}

bool StoreGate::Finished(MonotonicTime now, MonotonicTime started, const absl::Status& status,
                         double uniform) {
  --running_;
  const bool was_broken = broken();
  if (status.ok() || !IsTransient(status)) {
    failures_in_a_row_ = 0;
    probe_started_.reset();
    last_error_ = absl::OkStatus();
    return was_broken;
  }
  last_error_ = status;
  const bool was_probe = probe_started_.has_value() && *probe_started_ == started;
  if (was_probe) probe_started_.reset();
  if (started >= counted_at_) {
    ++failures_in_a_row_;
    counted_at_ = now;
  }
  Duration delay{};
  if (const auto pause = RetryAfter(status); pause.has_value()) {
    delay = std::min<Duration>(*pause, kLongestPause);
    paused_until_ = std::max(paused_until_, now + delay);
  }
  if (broken() && (was_probe || !was_broken)) {
    probe_failed_at_ = now;
    const int probes = failures_in_a_row_ - limits_.breaker_failures + 1;
    probe_at_ = now + std::max(delay, BackoffDelay(std::max(1, probes), limits_.backoff_first,
                                                   limits_.backoff_most, uniform));
  }
  return false;
}

bool StoreGate::ProbeDueAt(MonotonicTime now) const {
  return broken() && !probing() && now >= paused_until_ &&
         now >= std::min(probe_at_, probe_failed_at_ + kReadersProbe);
}

void StoreGate::ProbeNow(MonotonicTime now) {
  if (broken() && !probing()) probe_at_ = std::min(probe_at_, now);
}

}  // namespace secretfs::cache
