#pragma once

// Temporary credentials as STS, container agents and instance metadata give them, parsed strictly.
// Pure functions; no content is quoted in errors.

#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/auth/sigv4.h"

namespace secretfs::providers::aws {

// The answer of STS, in XML: credentials, and when the service says that they end.
struct TemporaryCredentials {
  AwsCredentials credentials;
  WallTime expiration;
};
absl::StatusOr<TemporaryCredentials> ParseRoleAnswer(std::string_view body);

// The JSON of agents and of the instance metadata. `now`: the wall time of who gave it, that goes
// with `arrived`.
absl::StatusOr<AwsCredentials> ParseCredentials(std::string_view body, WallTime now,
                                                MonotonicTime arrived);

}  // namespace secretfs::providers::aws
