#include "cli/manifest_stores.h"

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {

std::set<std::string> UsedStores(const k8s::Manifest& manifest) {
  std::set<std::string> used;
  for (const k8s::ManifestFile& file : manifest.files) used.insert(file.store);
  for (const k8s::ManifestBrowse& tree : manifest.browse) used.insert(tree.store);
  for (const k8s::ManifestExpansion& expansion : manifest.expansions) used.insert(expansion.store);
  return used;
}

absl::StatusOr<StoreIds> AddManifestStores(const k8s::Manifest& manifest, Runtime& runtime) {
  std::set<std::string> used = UsedStores(manifest);
  StoreIds ids;
  for (const providers::StoreConfig& store : manifest.stores) {
    if (used.erase(store.name) == 0) continue;
    SECRETFS_ASSIGN_OR_RETURN(const cache::StoreId id, runtime.AddStore(store, ""));
    ids.emplace(store.name, id);
  }
  if (!used.empty()) {
    return absl::InternalError(Format("store '{}' is used but not described", *used.begin()));
  }
  return ids;
}

}  // namespace secretfs::cli
