#pragma once

// How long to wait after a failure: exponential with full jitter, so that many clients of one store
// that failed together do not come back together. Pure functions.

#include <algorithm>

#include "base/clock.h"

namespace secretfs::cache {

// Uniform between nothing and `first` doubled for each failure after the first one, at most `most`.
// Never below a tenth of `first`, so that an unlucky draw is not a busy loop. `uniform` is in [0,
// 1); REQUIRES: failures >= 1.
inline Duration BackoffDelay(int failures, Duration first, Duration most, double uniform) {
  Duration ceiling = first;
  for (int i = 1; i < failures && ceiling < most; ++i) ceiling *= 2;
  ceiling = std::min(ceiling, most);
  const auto drawn = std::chrono::duration_cast<Duration>(ceiling * uniform);
  return std::max(drawn, std::min(first / 10, most));
}

}  // namespace secretfs::cache
