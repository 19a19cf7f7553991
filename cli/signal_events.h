#pragma once

// Waiting for the end of a serving process: signals and an event from other threads, in one poll.
// The signals are blocked in the whole process and read from a descriptor, so no code runs inside a
// signal handler. Construct it before any thread exists; Notify may be called from any thread.

#include <signal.h>
#include <sys/signalfd.h>

#include <initializer_list>
#include <optional>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::cli {

class SignalEvents {
 public:
  // FailedPrecondition when the kernel refuses.
  static absl::StatusOr<SignalEvents> Make(std::initializer_list<int> signals);

  struct Event {
    std::optional<signalfd_siginfo> signal;
    bool notified = false;  // Notify was called since the last Wait
  };
  // Waits for a signal, a notification, or `limit_ms` (-1: no limit).
  Event Wait(int limit_ms = -1);

  void Notify() const;

  // What was blocked before Make: for programs that are started.
  const sigset_t& original_mask() const { return original_mask_; }

 private:
  sigset_t original_mask_{};
  UniqueFd signals_, notifications_;
};

}  // namespace secretfs::cli
