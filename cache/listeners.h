#pragma once

// Who is told of changes, and the promise that nobody is told after Remove.
//
// Thread-safety: Find and Remove from any thread, Call on the I/O thread. Remove must not be called
// from inside a listener, nor while holding a lock that the listener takes.

#include <memory>
#include <span>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cache/cache.h"

namespace secretfs::cache {

class Listeners {
 public:
  // Stands for one registered listener until it is removed; a later registration of the same
  // address is another one.
  class Handle {
   public:
    explicit Handle(Listener* listener) : listener_(listener) {}
    void Call(std::span<const EntrySnapshot> entries);

   private:
    friend class Listeners;
    absl::Mutex calling_;  // held while the listener runs
    Listener* listener_ ABSL_GUARDED_BY(calling_);
  };
  using HandlePtr = std::shared_ptr<Handle>;

  // The handle of `listener`, registered now if it was not. Null for null.
  HandlePtr Find(Listener* listener);
  // Waits for a running call; none follows.
  void Remove(Listener* listener);

 private:
  absl::Mutex mutex_;  // never held together with a Handle's
  std::unordered_map<Listener*, HandlePtr> handles_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace secretfs::cache
