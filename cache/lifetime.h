#pragma once

// Keeps whatever the I/O thread still has in its queue (posted work, timers, answers of providers)
// from running after the cache is gone: all of it goes through Run of the cache's one Lifetime.
//
// Thread-safety: Run on the I/O thread only, and never from inside Run; End from any other place.

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace secretfs::cache {

class Lifetime {
 public:
  template <typename Function>
  void Run(Function&& function) {
    absl::MutexLock lock(&mutex_);
    if (!ended_) std::forward<Function>(function)();
  }

  // Waits for a running function; after that none runs any more.
  void End() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

 private:
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace secretfs::cache
