#pragma once

// Regular expressions of External Secrets' manifests. They are written for Go's regexp package and
// carried out here by std::regex (ECMAScript); what the two do not share is refused when the
// manifest is read, not when names are matched. Free functions without state.

#include <optional>
#include <string>

#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

// The expression, or nothing (reported) when it cannot be used. `groups` gets the number of its
// groups.
std::optional<std::string> ReadRegexp(const Value& value, size_t& groups);

// A replacement in Go's words ("$1", "${1}", "$$") as std::regex_replace's default format takes it.
// Names of groups and groups that are not there are refused.
std::optional<std::string> ReadReplacement(const Value& value, size_t groups);

}  // namespace secretfs::k8s
