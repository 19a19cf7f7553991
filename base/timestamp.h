#pragma once

// Times as stores write them. A free function without state.

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace secretfs {

// "2026-11-24T18:00:00.5Z" (RFC 3339). Nothing for anything else, and for times that nanoseconds
// since 1970 cannot hold.
std::optional<WallTime> ParseTimestamp(std::string_view text);

}  // namespace secretfs
