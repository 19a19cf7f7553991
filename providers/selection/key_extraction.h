#pragma once

// extractJSONKey and extractYAMLKey of the GCP provider: the value of one key at the top of a JSON
// object or YAML mapping, the name taken as it is (dots mean nothing). A text as it is, nested
// values as compact JSON, null as nothing.
//
// yaml-cpp reads YAML through ordinary memory that it frees but does not wipe; what is returned is
// in locked memory. Free functions without state.

#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

// NotFound naming the key and the nearest ones that there are; InvalidArgument when the value is no
// JSON object. Content is never quoted.
absl::StatusOr<SecretBytes> ExtractJsonKey(std::string_view value, std::string_view key);

// The same for YAML, of which the first document counts. Aliases and what is nested deeper than 64
// levels are InvalidArgument.
absl::StatusOr<SecretBytes> ExtractYamlKey(std::string_view value, std::string_view key);

}  // namespace secretfs::providers
