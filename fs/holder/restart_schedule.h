#pragma once

// When the next server is started after one has died. A server that had served is followed at once,
// but starts are 100 ms apart; one that never became ready is followed after 100 ms, and each
// further one after twice as long, up to 5 s. It never gives up: the holder does, by its own bound.
// Not thread-safe.

#include <deque>

#include "base/clock.h"

namespace secretfs::fs {

class RestartSchedule {
 public:
  void OnStart(MonotonicTime now) { last_start_ = now; }

  struct Verdict {
    Duration delay{0};
    int deaths_lately = 0;  // within the last ten seconds, this one included
    bool loud = false;      // three or more of them: somebody should look
  };
  Verdict OnDeath(MonotonicTime now, bool was_ready);

  // Deaths in a row of servers that never became ready.
  int failed_starts() const { return failed_starts_; }

 private:
  MonotonicTime last_start_;
  int failed_starts_ = 0;
  std::deque<MonotonicTime> deaths_;
};

}  // namespace secretfs::fs
