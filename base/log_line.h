#pragma once

// One line of log from code that may be linked into a program without spdlog (the holder). Where
// base/log.h is set up the line goes there; otherwise it is written to stderr in the same form.
//
// Safe to use from any thread; SetUpPlainLog and SetLogLineSink before other threads exist.

#include <string_view>

#include "absl/status/status.h"

namespace secretfs {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kOff };

void LogLine(LogLevel level, std::string_view text);

struct PlainLogOptions {
  LogLevel level = LogLevel::kWarning;  // lines below it are left out
  bool json = false;
};
// How lines are written to stderr where no sink is set.
void SetUpPlainLog(const PlainLogOptions& options);

// The level that --log-level calls `name`, or InvalidArgument.
absl::Status ParsePlainLogLevel(std::string_view name, LogLevel& level);

using LogLineSink = void (*)(LogLevel level, std::string_view text);
void SetLogLineSink(LogLineSink sink);

}  // namespace secretfs
