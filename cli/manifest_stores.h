#pragma once

// Brings the stores that a manifest uses into the cache. Free functions without state.

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "cli/runtime.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

using StoreIds = std::map<std::string, cache::StoreId>;  // by the manifest's name

// Contacts no store. Stores that nothing refers to are left out.
absl::StatusOr<StoreIds> AddManifestStores(const k8s::Manifest& manifest, Runtime& runtime);

}  // namespace secretfs::cli
