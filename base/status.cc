#include "base/status.h"

#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "base/text.h"

namespace secretfs {
namespace {

constexpr absl::string_view kRetryAfterUrl = "secretfs/retry-after-milliseconds";

}  // namespace

void SetRetryAfter(absl::Status& status, std::chrono::milliseconds delay) {
  // Through a view: the constructor from std::string is mangled differently by clang and g++.
  const std::string text = std::to_string(delay.count());
  status.SetPayload(kRetryAfterUrl, absl::Cord(absl::string_view(text)));
}

std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryAfterUrl);
  int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(), Format("{}: {}", context, MessageOf(status)));
  status.ForEachPayload([&result](absl::string_view url, const absl::Cord& payload) {
    result.SetPayload(url, payload);
  });
  return result;
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace secretfs
