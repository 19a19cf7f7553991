#pragma once

// --log-level and --log-format, the same for every command that talks to a store. Plain values.

#include <CLI/App.hpp>
#include <string>

#include "absl/status/status.h"

namespace secretfs::cli {

struct LogFlags {
  std::string level = "warn";
  std::string format = "text";
};

// Adds the two options; `flags` holds the default level and must outlive the parsing.
void AddLogFlags(CLI::App& command, LogFlags& flags);

// InvalidArgument for a level or format that does not exist.
absl::Status ApplyLogFlags(const LogFlags& flags);

}  // namespace secretfs::cli
