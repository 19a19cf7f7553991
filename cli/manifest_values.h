#pragma once

// The values that a manifest names, by the path of their file, for the commands that read values
// without a mount (get, run, check). Blocking calls for a command's main thread.

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/expansion.h"
#include "cli/manifest_stores.h"
#include "cli/runtime.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

struct ManifestValue {
  std::string path;
  std::string store;  // the manifest's name of it
  cache::EntryKey key;
  providers::Selection selection;
  cache::Policy policy;
};

std::vector<Expansion> ExpansionsOf(const k8s::Manifest& manifest, const StoreIds& stores);

absl::StatusOr<ExpandedFiles> ExpandAndWait(Runtime& runtime, std::vector<Expansion> expansions);

class ManifestValues {
 public:
  // Asks the stores only for the names of expansions, if there are any.
  static absl::StatusOr<ManifestValues> Make(const k8s::Manifest& manifest, Runtime& runtime);

  // Files and expansions, sorted by path. Trees are not in it: their files are known to the store.
  const std::vector<ManifestValue>& all() const { return values_; }

  // The value of the file at `path`, in a browse tree too: below a tree of a structured store,
  // SECRET/FIELD, or SECRET.json for all fields. NotFound with near misses.
  absl::StatusOr<ManifestValue> Find(const std::string& path) const;

 private:
  struct Tree {
    std::string path, store_name, prefix;
    cache::StoreId store;
    bool structured = false;
    cache::Policy policy;
  };
  std::vector<ManifestValue> values_;
  std::vector<Tree> trees_;
};

// The bytes of `value`'s file out of the secret that was read for it.
absl::StatusOr<SecretBytes> SelectValue(const ManifestValue& value,
                                        const cache::EntrySnapshot& snapshot);

}  // namespace secretfs::cli
