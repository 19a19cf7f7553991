#pragma once

// Reading members of AWS's JSON answers: what is not there or of another type reads as nothing,
// never as an exception. Pure functions.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/secret_json.h"

namespace secretfs::providers::aws {

// A JSON object; Unavailable (the thing that answers is no AWS) without quoting anything.
absl::StatusOr<SecretJson> ParseAnswer(std::string_view body);
absl::Status UnexpectedAnswer(std::string_view what);

// The member if it is an array; an empty one otherwise.
const SecretJson::array_t& ArrayMember(const SecretJson& json, std::string_view name);
// Seconds since 1970, with or without a fraction.
std::optional<WallTime> TimeMember(const SecretJson& json, std::string_view name);

}  // namespace secretfs::providers::aws
