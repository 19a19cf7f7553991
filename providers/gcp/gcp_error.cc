#include "providers/gcp/gcp_error.h"

#include <optional>
#include <string>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/gcp_response.h"
#include "providers/http/http_status.h"

namespace secretfs::providers::gcp {
namespace {

absl::StatusCode CodeOf(const absl::Status& status, const ApiError& error) {
  if (error.version_is_disabled || error.version_is_destroyed) return absl::StatusCode::kNotFound;
  if (error.status == "FAILED_PRECONDITION") return absl::StatusCode::kFailedPrecondition;
  return status.code();
}

std::string Explanation(const ApiError& error, absl::StatusCode code) {
  if (error.version_is_disabled) return ": the version is disabled";
  if (error.version_is_destroyed) return ": the version is destroyed";
  std::string text = error.reason.empty() ? "" : " " + error.reason;
  if (error.reason == "SERVICE_DISABLED") {
    text += ": enable it with 'gcloud services enable secretmanager.googleapis.com'";
  } else if (error.reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT") {
    text += ": the token's scopes do not include cloud-platform (set them on the machine)";
  } else if (code == absl::StatusCode::kPermissionDenied) {
    text += ": the identity has no role that allows it, or there is no such secret";
  }
  return text;
}

}  // namespace

Failure FailureOf(const HttpResponse& response, std::string_view what, WallTime now) {
  Failure failure;
  failure.status = HttpStatus(response, what, now);
  if (failure.status.ok()) return failure;
  const std::optional<ApiError> error = ParseApiError(response.body.ExposeAsText());
  if (!error.has_value()) {
    if (!IsTransient(failure.status) && response.status != 401) {
      failure.status = absl::UnavailableError(Format(
          "{}, with something that is not Secret Manager's answer", MessageOf(failure.status)));
    }
    return failure;
  }
  failure.version_is_unusable = error->version_is_disabled || error->version_is_destroyed;
  const absl::StatusCode code = CodeOf(failure.status, *error);
  std::optional<std::chrono::milliseconds> delay = RetryAfter(failure.status);
  if (!delay.has_value()) delay = error->retry_delay;
  failure.status =
      absl::Status(code, Format("{}{}", MessageOf(failure.status), Explanation(*error, code)));
  if (delay.has_value()) SetRetryAfter(failure.status, *delay);
  return failure;
}

}  // namespace secretfs::providers::gcp
