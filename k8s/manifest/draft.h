#pragma once

// What the readers of the single kinds collect before names are resolved: stores, and files that
// refer to them by name, each with the place it came from. ResolveDraft (resolve.h) makes a
// Manifest of it. Plain values; not thread-safe.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/manifest/manifest.h"
#include "k8s/manifest/policy_reader.h"
#include "k8s/manifest/problems.h"
#include "k8s/manifest/resource_index.h"

namespace secretfs::k8s {

// Where a store was described, and so what may refer to it.
enum class StoreKind { kNative, kSecretStore, kClusterSecretStore, kSecretProviderClass };
std::string_view StoreKindName(StoreKind kind);

struct StoreDraft {
  StoreKind kind = StoreKind::kNative;
  std::string name;
  // Not set: the description was wrong (reported); the name is kept so that no reference to it is
  // reported as well.
  std::optional<providers::StoreConfig> config;
  PolicyOverrides policy;
  Location where;
};

struct StoreReference {
  std::string name;  // empty: the only store there is
  // Set: only a store of this kind.
  std::optional<StoreKind> kind;
  Location where;
};

// A file, browse tree or expansion whose store is still a reference.
template <typename T>
struct Unresolved {
  T value;
  StoreReference store;
  PolicyOverrides policy;
  Location where;  // of the path, where it has one
};

struct MountSettings {
  std::optional<fs::Layout> layout;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> file_mode, directory_mode;
  bool audit_open = false;
};

struct Draft {
  Problems problems;
  ResourceIndex resources;
  std::vector<StoreDraft> stores;
  std::vector<Unresolved<ManifestFile>> files;
  std::vector<Unresolved<ManifestBrowse>> browse;
  std::vector<Unresolved<ManifestExpansion>> expansions;
  // What secretfs.yaml sets for the mount, and where; at most once over all documents.
  std::optional<std::pair<MountSettings, Location>> mount;
  std::optional<std::pair<PolicyOverrides, Location>> policy;
  // A Kubernetes kind brought files: Kubernetes' layout and modes are the defaults.
  bool has_kubernetes_files = false;

  // Adds a store, unless its name is taken (reported).
  void AddStore(StoreDraft store);
};

}  // namespace secretfs::k8s
