#pragma once

// What a process that holds secrets does first: no core dumps, not readable through ptrace or
// /proc/PID/mem by the same user, and no page ever swapped where the limits allow it. Freed heap
// memory is overwritten in programs that link base/wiping_heap.h.

#include "absl/status/status.h"

namespace secretfs {

// Applies all of it to this process. Never fails hard: what could not be done (mlockall without the
// right) is in the returned status, for the log. Call before starting threads.
absl::Status HardenProcess();

}  // namespace secretfs
