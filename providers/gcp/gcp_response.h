#pragma once

// Secret Manager's response documents, parsed strictly: a document that is not what the API
// promises is an error (Unavailable: the thing that answers is broken, or not Secret Manager),
// never a crash and never a guess. Pure functions; no content is quoted in errors.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers::gcp {

// The answer to versions:access. The checksum of the value was compared where the server sent one;
// a value that was damaged on its way is Unavailable, so that it is asked for again.
struct AccessedVersion {
  std::string number;  // of the version, also where an alias was asked for
  SecretBytes value;
};
absl::StatusOr<AccessedVersion> ParseAccess(std::string_view body);

// One page of a project's secrets, by their own names.
struct SecretPage {
  std::vector<std::string> names;
  std::string next_page;  // empty: this was the last
};
absl::StatusOr<SecretPage> ParseSecretList(std::string_view body);

// One page of a secret's versions: the numbers of those that are enabled.
struct VersionPage {
  std::vector<std::string> enabled;
  std::string next_page;
};
absl::StatusOr<VersionPage> ParseVersionList(std::string_view body);

// What a Google API says in an answer that is no success.
struct ApiError {
  std::string status;  // the canonical code's name, such as FAILED_PRECONDITION
  // Why, as an identifier such as SERVICE_DISABLED; empty if not said. Nothing else of the answer
  // is kept.
  std::string reason;
  bool version_is_disabled = false;
  bool version_is_destroyed = false;
  std::optional<std::chrono::milliseconds> retry_delay;
};
// Nothing when the answer does not come from a Google API at all.
std::optional<ApiError> ParseApiError(std::string_view body);

}  // namespace secretfs::providers::gcp
