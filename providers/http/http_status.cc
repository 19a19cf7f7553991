#include "providers/http/http_status.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

// What a store can ask for at most; beyond, its header is taken for a mistake and cut to this.
constexpr std::chrono::milliseconds kLongestRetryAfter = std::chrono::hours(24);

absl::StatusCode CodeOf(long status) {
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 410:
      return absl::StatusCode::kNotFound;
    case 408:
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    case 409:
    case 412:
      return absl::StatusCode::kAborted;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  if (status >= 500) return absl::StatusCode::kUnavailable;
  if (status >= 400) return absl::StatusCode::kInvalidArgument;
  return absl::StatusCode::kFailedPrecondition;  // 1xx or 3xx where an answer was wanted
}

std::string_view PhraseOf(long status) {
  switch (status) {
    case 400:
      return " (bad request)";
    case 401:
      return " (not authenticated)";
    case 403:
      return " (permission denied)";
    case 404:
      return " (not found)";
    case 405:
      return " (method not allowed)";
    case 408:
      return " (request timeout)";
    case 409:
      return " (conflict)";
    case 412:
      return " (precondition failed)";
    case 429:
      return " (too many requests)";
    case 500:
      return " (internal server error)";
    case 502:
      return " (bad gateway)";
    case 503:
      return " (service unavailable)";
    case 504:
      return " (gateway timeout)";
    default:
      return "";
  }
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::chrono::milliseconds> ParseRetryAfter(const std::string& text, WallTime now) {
  if (text.empty()) return std::nullopt;
  if (std::all_of(text.begin(), text.end(), IsDigit)) {
    int64_t seconds = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (end.ec != std::errc() || seconds > kLongestRetryAfter / std::chrono::seconds(1)) {
      return kLongestRetryAfter;
    }
    return std::chrono::seconds(seconds);
  }
  // A date has a weekday's name first; curl_getdate alone would also take "5" or "-1" for dates.
  if (IsDigit(text.front()) || text.front() == '-' || text.front() == '+') return std::nullopt;
  const time_t date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::system_clock::from_time_t(date) - now);
  return std::clamp(delay, std::chrono::milliseconds(0), kLongestRetryAfter);
}

}  // namespace

absl::Status HttpStatus(const HttpResponse& response, std::string_view what, WallTime now) {
  if (response.status >= 200 && response.status < 300) return absl::OkStatus();
  absl::Status status(CodeOf(response.status), Format("{}: the server answered {}{}", what,
                                                      response.status, PhraseOf(response.status)));
  const auto header = response.headers.find("retry-after");
  if (header != response.headers.end()) {
    const auto delay = ParseRetryAfter(header->second, now);
    if (delay.has_value()) SetRetryAfter(status, *delay);
  }
  return status;
}

}  // namespace secretfs::providers
