#pragma once

// Lets an object be destroyed while callbacks that were handed out still exist elsewhere: each
// enters the gate before it touches the object, and Close waits for those inside. Thread-safe.
// Close must not be called from inside a callback.

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace secretfs::fs {

class CallbackGate {
 public:
  // False once closed. REQUIRES: each success is followed by Leave.
  bool Enter() {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }
  void Leave() {
    absl::MutexLock lock(&mutex_);
    if (--inside_ == 0) empty_.SignalAll();
  }
  // From now on nobody enters; returns when nobody is inside.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    while (inside_ > 0) empty_.Wait(&mutex_);
  }

  // `function`, called only while the gate is open.
  template <typename Function>
  static auto Guard(std::shared_ptr<CallbackGate> gate, Function function) {
    return [gate = std::move(gate), function = std::move(function)](auto&&... arguments) mutable {
      if (!gate->Enter()) return;
      function(std::forward<decltype(arguments)>(arguments)...);
      gate->Leave();
    };
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar empty_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace secretfs::fs
