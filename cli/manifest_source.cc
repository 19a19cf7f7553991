#include "cli/manifest_source.h"

#include <sys/stat.h>

#include <utility>
#include <variant>

#include "base/file_access.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/store_factory.h"

namespace secretfs::cli {
absl::StatusOr<k8s::Manifest> ReadManifestFiles(const std::vector<std::string>& paths) {
  SECRETFS_ASSIGN_OR_RETURN(k8s::Manifest manifest, k8s::ReadManifests(paths));
  for (const std::string& warning : manifest.warnings) Log().warn("{}", warning);
  for (providers::StoreConfig& store : manifest.stores) MakePathsAbsolute(store);
  return manifest;
}

absl::StatusOr<k8s::Manifest> ReadManifestTexts(const k8s::NamedTexts& named_texts) {
  SECRETFS_ASSIGN_OR_RETURN(k8s::Manifest manifest, k8s::ParseManifests(named_texts));
  for (providers::StoreConfig& store : manifest.stores) MakePathsAbsolute(store);
  return manifest;
}

absl::StatusOr<k8s::Manifest> ManifestForUrl(const StoreUrl& url, const Environment& environment) {
  SECRETFS_ASSIGN_OR_RETURN(providers::StoreConfig store, StoreConfigFor(url, environment));
  k8s::Manifest manifest;
  k8s::ManifestBrowse tree;
  tree.store = store.name;
  tree.prefix = PrefixOf(url);
  tree.policy = manifest.default_policy;
  tree.origin = "STORE_URL";
  manifest.browse.push_back(std::move(tree));
  manifest.stores.push_back(std::move(store));
  return manifest;
}

absl::Status CheckLocalStoreExists(const k8s::Manifest& manifest) {
  for (const providers::StoreConfig& store : manifest.stores) {
    const auto* local = std::get_if<providers::LocalStoreConfig>(&store.provider);
    struct stat attributes = {};
    if (local == nullptr || StatFile(local->path, attributes) == 0) continue;
    return absl::NotFoundError(Format(
        "there is no store at {0}; 'secretfs store init --store {0}' makes one", local->path));
  }
  return absl::OkStatus();
}

void ApplyOverrides(const MountOverrides& overrides, k8s::Manifest& manifest) {
  if (overrides.layout.has_value()) manifest.layout = overrides.layout;
  if (overrides.uid.has_value()) manifest.uid = overrides.uid;
  if (overrides.gid.has_value()) manifest.gid = overrides.gid;
  if (overrides.file_mode.has_value()) {
    manifest.file_mode = overrides.file_mode;
    for (k8s::ManifestFile& file : manifest.files) file.mode = overrides.file_mode;
  }
  if (!overrides.ttl.has_value()) return;
  manifest.default_policy.ttl = *overrides.ttl;
  for (k8s::ManifestFile& file : manifest.files) file.policy.ttl = *overrides.ttl;
  for (k8s::ManifestBrowse& tree : manifest.browse) tree.policy.ttl = *overrides.ttl;
  for (k8s::ManifestExpansion& expansion : manifest.expansions) {
    expansion.policy.ttl = *overrides.ttl;
  }
}

}  // namespace secretfs::cli
