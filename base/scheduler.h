#pragma once

// Runs functions later on the I/O thread. An interface, so that unit tests advance time by hand
// (tests/fakes/manual_clock.h) and need no sleep; AsioScheduler is the real one.
//
// Thread-safety: After and Cancel may be called from the I/O thread only. A function runs on the
// I/O thread, never from inside After or Cancel.

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"

namespace secretfs {

class Scheduler {
 public:
  using TimerId = uint64_t;  // never 0
  virtual ~Scheduler() = default;
  // Runs `function` once, `delay` from now (at the next turn of the I/O thread for zero or less).
  virtual TimerId After(Duration delay, std::function<void()> function) = 0;
  // The function will not run any more; unknown and already run ids are ignored.
  virtual void Cancel(TimerId id) = 0;
};

}  // namespace secretfs
