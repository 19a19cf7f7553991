#pragma once

// `property` of External Secrets: paths of GJSON into a JSON value. What is understood: names and
// numbers of elements between dots ("users.0.name"); "\" before a character that would mean
// something else; "*" and "?" in names; "#" (how many elements), "#.name" (of each element),
// "#(name=="x")" (the first element for which that holds) and "#(…)#" (all of them), with ==, !=,
// <, <=, >, >=, % and !%; "|" instead of "."; and the modifiers @this, @keys, @values, @reverse and
// @flatten. Other modifiers, and new documents ("{a,b}", "[a,b]"), are refused. As in External
// Secrets, a path with dots is first taken as one whole name.
//
// Free functions without state, bounded in depth and work.

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

// The JSON text of what `path` names in `document`; nothing when there is no such thing.
// InvalidArgument when the path is not understood. REQUIRES: ParseSecretJson accepts `document`.
absl::StatusOr<std::optional<SecretString>> FindProperty(std::string_view document,
                                                         std::string_view path);

}  // namespace secretfs::providers
