#pragma once

// Reads .env files, in locked memory: NAME=VALUE lines, "export" in front, comments, single quotes
// (as they are), double quotes (\n \r \t \" \\ \$, over several lines). Variables are not expanded:
// a value is what stands there. Free functions without state.

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/store/value_json.h"

namespace secretfs::cli {

// InvalidArgument naming the line, never its content.
absl::StatusOr<std::vector<NamedValue>> ValuesFromDotenv(std::string_view text);

}  // namespace secretfs::cli
