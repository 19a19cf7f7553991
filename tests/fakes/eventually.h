#pragma once

// Bounded waiting for something that other threads bring about. By looking again and again, because
// ThreadSanitizer does not understand conditions that Debian's Abseil evaluates.

#include <functional>

#include "absl/time/clock.h"
#include "tests/support/slowness.h"

namespace secretfs::fakes {

// Waits until `condition` holds; false after `patience`.
inline bool Eventually(const std::function<bool()>& condition,
                       absl::Duration patience = absl::Seconds(30)) {
  const absl::Time end = absl::Now() + testing::Slower(patience);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Microseconds(200));
  }
  return true;
}

}  // namespace secretfs::fakes
