#pragma once

// AWS's own error codes, and the one place where they become canonical codes. A code is a word of
// AWS's ("ResourceNotFoundException") and may be shown; the text beside it is shown for logins
// only. Pure functions.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"
#include "providers/http/http_client.h"

namespace secretfs::providers::aws {

struct ApiError {
  std::string code;     // without namespace; empty: the answer names none
  std::string message;  // one line, printable, at most 300 characters
};

// What an answer that is not 2xx says, in the JSON protocols and in the query protocol's XML.
ApiError ErrorOf(const HttpResponse& response);
// A code as it stands in an answer: its namespace and everything but letters and digits dropped.
std::string CleanCode(std::string_view code);

// NotFound, PermissionDenied, Unauthenticated, ResourceExhausted (throttled), Unavailable,
// InvalidArgument; what is not in the table goes by the HTTP status. Retry-After is attached.
// `what` names the request; `code` is shown, the error's text is not.
absl::Status StatusOf(const HttpResponse& response, const ApiError& error, std::string_view what,
                      WallTime now);
// The same for one of several secrets in an answer that is 2xx as a whole.
absl::Status StatusOf(const ApiError& error, std::string_view what);

// Unreachable, too slow or 5xx, but not throttled: another region is worth a try.
bool IsOutage(const absl::Status& status);

// The credentials have ended, or are not known (any more): a new login is worth it.
bool MeansNewLogin(std::string_view code);
// The request's time was too far from the server's, or may have been.
bool MayMeanClockSkew(std::string_view code);

}  // namespace secretfs::providers::aws
