#pragma once

// --on-change: what `secretfs run` does when a value changed. Free functions and plain values.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace secretfs::cli {

struct Reaction {
  enum class Kind { kNone, kRestart, kSignal, kCommand };
  Kind kind = Kind::kNone;
  int signal = 0;       // kSignal
  std::string command;  // kCommand, for /bin/sh -c
};

// "restart", "signal:HUP" (also SIGHUP or a number), "exec:COMMAND". InvalidArgument otherwise.
absl::StatusOr<Reaction> ParseReaction(std::string_view text);

}  // namespace secretfs::cli
