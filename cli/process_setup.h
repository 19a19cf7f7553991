#pragma once

// What a command that holds secrets does first. Free functions; main thread, before any other
// exists.

#include "absl/status/status.h"
#include "cli/log_flags.h"

namespace secretfs::cli {

// Hardens the process and sets up logging as `flags` say. InvalidArgument for wrong flags.
absl::Status SetUpProcess(const LogFlags& flags);

}  // namespace secretfs::cli
