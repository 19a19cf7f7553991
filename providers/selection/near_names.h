#pragma once

// Names of a store's in messages: on one line, not too long, the nearest first. Free functions
// without state.

#include <string>
#include <string_view>
#include <vector>

namespace secretfs::providers {

// A name from a store or a manifest, fit for a message.
std::string Shown(std::string_view name);

// Up to five of `names`, the most like `wanted` first, and how many more there are; "nothing" when
// there are none.
std::string NearestNames(std::string_view wanted, const std::vector<std::string_view>& names);

}  // namespace secretfs::providers
