#pragma once

// How single values are written in manifests: durations, file modes and paths. Free functions
// without state; the text of the value never appears in what they return.

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace secretfs::k8s {

// Longest duration a manifest can name; far from overflow, long enough for "never again".
inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 3650);

// "30s", "1h30m", "500ms", "1.5h", "7d", "0": numbers with d, h, m, s, ms, us or ns, one after the
// other. Not negative, at most kLongestDuration.
std::optional<Duration> ParseDuration(std::string_view text);

// A file mode as octal digits: "0400", "400", "0o400". At most 0777.
std::optional<mode_t> ParseOctalMode(std::string_view text);

// True for a decimal number that somebody who writes it means as octal ("400", "644"): as a decimal
// it would be a mode that nobody wants.
bool LooksLikeOctalMode(std::string_view text);

// What is wrong with `path` as the path of a file below the mount ("is absolute; expected …"), or
// nothing.
std::optional<std::string> PathProblem(std::string_view path);

}  // namespace secretfs::k8s
