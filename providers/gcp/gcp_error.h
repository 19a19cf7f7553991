#pragma once

// Where Secret Manager's failures become canonical codes, once: as HTTP's (http_status.h), except
// that a disabled or destroyed version is NotFound, for it is not to be used any more; 400 with
// FAILED_PRECONDITION keeps that code; and a failure that no Google API wrote (a proxy's page) is
// Unavailable, for it says nothing about the secret. Pure function.

#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"
#include "providers/http/http_client.h"

namespace secretfs::providers::gcp {

struct Failure {
  absl::Status status;               // OK for 2xx
  bool version_is_unusable = false;  // disabled or destroyed
};

// `what` names the request. Of the body only the reason's identifier gets into the message.
Failure FailureOf(const HttpResponse& response, std::string_view what, WallTime now);

}  // namespace secretfs::providers::gcp
