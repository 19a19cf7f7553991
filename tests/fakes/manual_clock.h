#pragma once

// Time that tests turn by hand: a Clock and a Scheduler that share it. Advance runs every function
// that became due, in order of due time, on the calling thread. Not thread-safe, but Now and
// WallNow may be called from any thread.

#include <atomic>
#include <functional>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "base/scheduler.h"

namespace secretfs::fakes {

class ManualClock final : public Clock, public Scheduler {
 public:
  MonotonicTime Now() const override { return MonotonicTime(Duration(elapsed_.load())); }
  WallTime WallNow() const override {
    return WallTime(std::chrono::seconds(1'800'000'000)) + Duration(elapsed_.load());
  }

  TimerId After(Duration delay, std::function<void()> function) override {
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(Now() + std::max(delay, Duration(0)), id), std::move(function));
    return id;
  }
  void Cancel(TimerId id) override {
    std::erase_if(timers_, [id](const auto& timer) { return timer.first.second == id; });
  }

  // Moves time forward. `between` (for example: poll an io_context) runs after each function.
  void Advance(Duration by, const std::function<void()>& between = [] {}) {
    const MonotonicTime end = Now() + by;
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto node = timers_.extract(timers_.begin());
      elapsed_ = std::max(elapsed_.load(), node.key().first.time_since_epoch().count());
      node.mapped()();
      between();
    }
    elapsed_ = end.time_since_epoch().count();
    between();
  }

  size_t pending_timers() const { return timers_.size(); }

 private:
  std::atomic<Duration::rep> elapsed_ = Duration(std::chrono::hours(1)).count();
  TimerId next_id_ = 1;
  std::map<std::pair<MonotonicTime, TimerId>, std::function<void()>> timers_;
};

// Returns the same number each time.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(double value) : value_(value) {}
  double Uniform() override { return value_; }
  void Set(double value) { value_ = value; }

 private:
  double value_;
};

}  // namespace secretfs::fakes
