#include "base/timestamp.h"

#include <limits>

#include "absl/time/time.h"
#include "base/text.h"

namespace secretfs {

std::optional<WallTime> ParseTimestamp(std::string_view text) {
  absl::Time time;
  if (text.empty() || !absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, nullptr)) {
    return std::nullopt;
  }
  // Outside of what nanoseconds since 1970 can hold, Abseil saturates; such times say nothing.
  const int64_t nanoseconds = absl::ToUnixNanos(time);
  if (nanoseconds == std::numeric_limits<int64_t>::max() ||
      nanoseconds == std::numeric_limits<int64_t>::min()) {
    return std::nullopt;
  }
  return WallTime(Duration(nanoseconds));
}

}  // namespace secretfs
