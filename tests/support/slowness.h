#pragma once

// How many times slower than a workstation this machine is, for tests that real programs and
// kernels take part in: an emulated machine is 10 to 30 times as slow, and bounds on waits and the
// size of loads have to follow. Free functions; the environment is read each time.

#include <algorithm>
#include <cstdlib>

namespace secretfs::testing {

// SECRETFS_TEST_SLOWNESS, a whole number; 1 without it.
inline int Slowness() {
  const char* text = getenv("SECRETFS_TEST_SLOWNESS");
  return text == nullptr ? 1 : std::max(1, atoi(text));
}

// For waits.
template <typename Duration>
Duration Slower(Duration duration) {
  return duration * Slowness();
}

// Of what a test repeats: as many, or what takes about as long on a slow machine.
inline int Fewer(int count) { return std::max(std::min(count, 3), count / Slowness()); }

}  // namespace secretfs::testing
