#pragma once

// Where HTTP status codes become canonical codes, once for all providers: 400 InvalidArgument,
// 401 Unauthenticated, 403 PermissionDenied, 404 NotFound, 408/504 DeadlineExceeded, 409/412
// Aborted, 429 ResourceExhausted, 5xx Unavailable; Retry-After (RFC 9110 section 10.2.3, seconds or
// a date) is attached to the status.

#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"
#include "providers/http/http_client.h"

namespace secretfs::providers {

// OK for 2xx. `what` names the request in the message; the response body is never quoted.
absl::Status HttpStatus(const HttpResponse& response, std::string_view what, WallTime now);

}  // namespace secretfs::providers
