#pragma once

// The two clocks of secretfs, behind one interface so that tests turn them by hand: monotonic time
// for TTLs, leases and deadlines; wall time for what people read (mtime, status). Implementations
// are safe to use from any thread.

#include <chrono>

namespace secretfs {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual WallTime WallNow() const = 0;
};

class SystemClock final : public Clock {
 public:
  MonotonicTime Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now(); }
};

}  // namespace secretfs
