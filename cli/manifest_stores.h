#pragma once

// Brings the stores that a manifest uses into the cache. Free functions without state.

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "cli/runtime.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

using StoreIds = std::map<std::string, cache::StoreId>;  // by the manifest's name

// The names of the stores that something refers to.
std::set<std::string> UsedStores(const k8s::Manifest& manifest);

// Contacts no store. Stores that nothing refers to are left out.
absl::StatusOr<StoreIds> AddManifestStores(const k8s::Manifest& manifest, Runtime& runtime);

}  // namespace secretfs::cli
