#pragma once

// Manifests as people have them, read into one neutral form: secretfs.yaml and the Kubernetes kinds
// SecretProviderClass, SecretStore, ClusterSecretStore, ExternalSecret and Secret (for credentials
// that the others refer to). Reading contacts no store. Errors name file, line, column and field,
// say what was expected, and list near misses for unknown fields.
//
// Thread-safety: free functions without state.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/policy.h"
#include "fs/mount_spec.h"
#include "providers/store_config.h"

namespace secretfs::k8s {

// Like fs::FileSpec and fs::BrowseSpec, with the store still by name.
struct ManifestFile {
  std::string path, store;
  providers::SecretRef ref;
  providers::Selection selection;
  std::optional<mode_t> mode;
  cache::Policy policy;
  std::string origin;  // "FILE:LINE", for errors found later
};
struct ManifestBrowse {
  std::string path, store, prefix;
  cache::Policy policy;
  std::string origin;
};
// dataFrom.extract: all fields of one secret.
struct ExtractFields {
  providers::SecretRef ref;
};
// dataFrom.find: the secrets below `path` whose name the expression matches. Empty means that this
// one does not narrow; never are both empty, which would be the whole store without anybody asking.
struct FindSecrets {
  std::string path, name_regexp;
};
// ExternalSecret dataFrom: files whose names are only known from the store.
struct ManifestExpansion {
  std::string store;
  // Nothing only as long as it is read: a manifest that was accepted holds none.
  std::variant<std::monostate, ExtractFields, FindSecrets> source;
  providers::Decoding decoding = providers::Decoding::kNone;
  std::vector<std::pair<std::string, std::string>> rewrite_regexp;  // source, target; in order
  cache::Policy policy;
  std::string origin;
};

struct Manifest {
  std::vector<providers::StoreConfig> stores;
  std::vector<ManifestFile> files;
  std::vector<ManifestBrowse> browse;
  std::vector<ManifestExpansion> expansions;
  std::optional<fs::Layout> layout;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> file_mode, directory_mode;
  bool audit_open = false;
  cache::Policy default_policy;
  // Things that are accepted but have no effect here (for example secretObjects on a workstation).
  std::vector<std::string> warnings;
};

// Every problem found, one a line; InvalidArgument. `paths` may hold several documents each, and
// refer to each other (an ExternalSecret to a SecretStore in another file).
absl::StatusOr<Manifest> ReadManifests(const std::vector<std::string>& paths);

// The texts of the files, by path, for ParseManifests; they may hold credentials. InvalidArgument
// naming every file that cannot be read.
using NamedTexts = std::vector<std::pair<std::string, std::string>>;
absl::StatusOr<NamedTexts> ReadManifestTexts(const std::vector<std::string>& paths);

// The same for text that is already in memory (`name` stands for the file in errors).
absl::StatusOr<Manifest> ParseManifests(const NamedTexts& named_texts);

}  // namespace secretfs::k8s
