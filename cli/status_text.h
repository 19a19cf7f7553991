#pragma once

// `secretfs status` for people: one block a mount, one line a file. Free functions without state.

#include <string>

#include "base/clock.h"
#include "cli/control/mount_report.h"

namespace secretfs::cli {

// "12s", "5m", "3h", "2d": the largest unit that fits. Negative durations are "0s".
std::string ShortDuration(Duration duration);

// The mount and its files as of `now`, each line with a newline.
std::string StatusText(const MountReport& report, WallTime now);

}  // namespace secretfs::cli
