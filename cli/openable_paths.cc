#include "cli/openable_paths.h"

#include <set>
#include <utility>

#include "cli/manifest_stores.h"
#include "cli/store_factory.h"

namespace secretfs::cli {

std::vector<std::string> OpenablePaths(const k8s::Manifest& manifest,
                                       const Environment& environment) {
  const std::set<std::string> used = UsedStores(manifest);
  std::set<std::string> paths;
  for (const providers::StoreConfig& store : manifest.stores) {
    if (!used.contains(store.name)) continue;
    for (std::string& path : FilesOf(store, environment)) paths.insert(std::move(path));
  }
  return {paths.begin(), paths.end()};
}

}  // namespace secretfs::cli
