#include "fs/holder/restart_schedule.h"

#include <algorithm>
#include <chrono>

namespace secretfs::fs {
namespace {

constexpr Duration kApart = std::chrono::milliseconds(100);
constexpr Duration kLongest = std::chrono::seconds(5);
constexpr Duration kWindow = std::chrono::seconds(10);
constexpr int kLoudDeaths = 3;

}  // namespace

RestartSchedule::Verdict RestartSchedule::OnDeath(MonotonicTime now, bool was_ready) {
  deaths_.push_back(now);
  while (now - deaths_.front() > kWindow) deaths_.pop_front();
  Verdict verdict;
  verdict.deaths_lately = static_cast<int>(deaths_.size());
  verdict.loud = verdict.deaths_lately >= kLoudDeaths;
  if (was_ready) {
    failed_starts_ = 0;
    verdict.delay = std::max(Duration::zero(), last_start_ + kApart - now);
  } else {
    // Doubling ends long before the shift could overflow.
    verdict.delay = std::min(kLongest, kApart * (1 << std::min(failed_starts_, 10)));
    ++failed_starts_;
  }
  return verdict;
}

}  // namespace secretfs::fs
