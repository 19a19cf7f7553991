#include "cli/manifest_values.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <future>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::cli {
namespace {

constexpr std::string_view kWhole = ".json";

std::string Join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "/" + name;
}

}  // namespace

std::vector<Expansion> ExpansionsOf(const k8s::Manifest& manifest, const StoreIds& stores) {
  std::vector<Expansion> expansions;
  for (const k8s::ManifestExpansion& expansion : manifest.expansions) {
    expansions.push_back({.store = stores.at(expansion.store), .what = expansion});
  }
  return expansions;
}

absl::StatusOr<ExpandedFiles> ExpandAndWait(Runtime& runtime, std::vector<Expansion> expansions) {
  std::promise<absl::StatusOr<ExpandedFiles>> promise;
  asio::co_spawn(runtime.io().context(), Expand(&runtime.cache(), std::move(expansions)),
                 [&promise](const std::exception_ptr& thrown, absl::StatusOr<ExpandedFiles> files) {
                   if (thrown) files = absl::InternalError("the names could not be made");
                   promise.set_value(std::move(files));
                 });
  return promise.get_future().get();
}

absl::StatusOr<ManifestValues> ManifestValues::Make(const k8s::Manifest& manifest,
                                                    Runtime& runtime) {
  ManifestValues values;
  SECRETFS_ASSIGN_OR_RETURN(const StoreIds stores, AddManifestStores(manifest, runtime));
  std::map<std::string, ManifestValue> by_path;
  const std::vector<Expansion> expansions = ExpansionsOf(manifest, stores);
  if (!expansions.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(const ExpandedFiles files, ExpandAndWait(runtime, expansions));
    for (const auto& [name, file] : files) {
      by_path[name] = {.path = name,
                       .store = runtime.cache().StoreName(file.key.store),
                       .key = file.key,
                       .selection = file.selection,
                       .policy = file.policy};
    }
  }
  for (const k8s::ManifestFile& file : manifest.files) {
    by_path[file.path] = {.path = file.path,
                          .store = file.store,
                          .key = {.store = stores.at(file.store), .ref = file.ref},
                          .selection = file.selection,
                          .policy = file.policy};
  }
  for (auto& [path, value] : by_path) values.values_.push_back(std::move(value));
  for (const k8s::ManifestBrowse& tree : manifest.browse) {
    const cache::StoreId store = stores.at(tree.store);
    values.trees_.push_back({.path = tree.path,
                             .store_name = tree.store,
                             .prefix = tree.prefix,
                             .store = store,
                             .structured = runtime.cache().StoreCapabilities(store).structured,
                             .policy = tree.policy});
  }
  return values;
}

absl::StatusOr<ManifestValue> ManifestValues::Find(const std::string& path) const {
  for (const ManifestValue& value : values_) {
    if (value.path == path) return value;
  }
  for (const Tree& tree : trees_) {
    const std::string inside = tree.path.empty() ? "" : tree.path + "/";
    if (!path.starts_with(inside) || path.size() == inside.size()) continue;
    std::string name = path.substr(inside.size());
    ManifestValue value{.path = path,
                        .store = tree.store_name,
                        .key = {.store = tree.store, .ref = {}},
                        .selection = {},
                        .policy = tree.policy};
    if (tree.structured && name.ends_with(kWhole)) {
      name.resize(name.size() - kWhole.size());
    } else if (tree.structured && name.find('/') != std::string::npos) {
      value.selection.property = name.substr(name.rfind('/') + 1);
      name.resize(name.rfind('/'));
    }
    value.key.ref.key = Join(tree.prefix, name);
    return value;
  }
  std::vector<std::string_view> known;
  for (const ManifestValue& value : values_) known.push_back(value.path);
  return absl::NotFoundError(
      Format("the manifest has no file '{}'{}", path, k8s::DidYouMean(path, known)));
}

absl::StatusOr<SecretBytes> SelectValue(const ManifestValue& value,
                                        const cache::EntrySnapshot& snapshot) {
  return providers::Select(*snapshot.secret, value.selection);
}

}  // namespace secretfs::cli
