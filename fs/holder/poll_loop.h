#pragma once

// One thread's waiting for many descriptors. Functions may watch and forget descriptors, their own
// included, while they run. Not thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "base/clock.h"

namespace secretfs::fs {

class PollLoop {
 public:
  using Function = std::function<void(short events)>;

  // Calls `function` when one of `events` (or an error) holds for `descriptor`, which the caller
  // keeps open until Forget. Replaces what was watched under the same number.
  void Watch(int descriptor, short events, Function function);
  void Forget(int descriptor) { watched_.erase(descriptor); }

  // Waits until something happens or `limit` has passed, and calls what belongs to it.
  void RunOnce(std::optional<Duration> limit);

 private:
  struct Watched {
    uint64_t serial;  // tells a descriptor from an earlier one of the same number
    short events;
    Function function;
  };
  std::map<int, Watched> watched_;
  uint64_t last_serial_ = 0;
};

}  // namespace secretfs::fs
