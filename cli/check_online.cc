#include "cli/check_online.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/status.h"
#include "cli/exit_codes.h"
#include "cli/manifest_stores.h"
#include "cli/manifest_values.h"

namespace secretfs::cli {
namespace {

CheckedItem ItemOf(std::string path, std::string store, std::string key, absl::Status status) {
  return {.path = std::move(path),
          .store = std::move(store),
          .key = std::move(key),
          .result = ResultName(status),
          .version = {},
          .status = std::move(status)};
}

void CheckLogins(const StoreIds& stores, Runtime& runtime, std::vector<CheckedItem>& items) {
  for (const auto& [name, id] : stores) {
    items.push_back(ItemOf("", name, "(login)", runtime.CheckLogin(id, cache::Policy().deadline)));
  }
}

void CheckTrees(const k8s::Manifest& manifest, const StoreIds& stores, Runtime& runtime,
                std::vector<CheckedItem>& items) {
  for (const k8s::ManifestBrowse& tree : manifest.browse) {
    const auto names = runtime.List(stores.at(tree.store), tree.prefix, tree.policy);
    items.push_back(ItemOf(tree.path + "/", tree.store, tree.prefix + "/", names.status()));
  }
}

void CheckFiles(const ManifestValues& values, Runtime& runtime, std::vector<CheckedItem>& items) {
  std::vector<cache::EntryKey> keys;
  std::vector<cache::Interest> interests;
  for (const ManifestValue& value : values.all()) {
    keys.push_back(value.key);
    interests.push_back(runtime.cache().AddInterest(value.key, value.policy, true, nullptr));
  }
  const auto snapshots = runtime.ReadAll(keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    const ManifestValue& value = values.all()[i];
    absl::Status status = snapshots[i].status();
    if (status.ok()) status = SelectValue(value, *snapshots[i]).status();
    items.push_back(ItemOf(value.path, value.store, value.key.ref.key, std::move(status)));
    if (snapshots[i].ok()) items.back().version = snapshots[i]->secret->version;
  }
}

}  // namespace

absl::StatusOr<std::vector<CheckedItem>> CheckOnline(const k8s::Manifest& manifest,
                                                     Runtime& runtime) {
  SECRETFS_ASSIGN_OR_RETURN(const StoreIds stores, AddManifestStores(manifest, runtime));
  std::vector<CheckedItem> items;
  CheckLogins(stores, runtime, items);
  CheckTrees(manifest, stores, runtime, items);
  const absl::StatusOr<ManifestValues> values = ManifestValues::Make(manifest, runtime);
  if (values.ok()) {
    CheckFiles(*values, runtime, items);
  } else {
    items.push_back(ItemOf("(dataFrom)", "", "", values.status()));
  }
  return items;
}

std::string ResultName(const absl::Status& status) {
  if (status.ok()) return "ok";
  const int code = ExitCodeFor(status);
  if (code == kExitNotFound) return "missing";
  if (code == kExitDenied) return "denied";
  return IsTransient(status) ? "unreachable" : "failed";
}

int WorseExitCode(int a, int b) {
  constexpr std::array kFromBest = {kExitOk,       kExitFailure, kExitUsage,
                                    kExitNotFound, kExitDenied,  kExitCorrupted};
  const auto rank = [&](int code) {
    return std::find(kFromBest.begin(), kFromBest.end(), code) - kFromBest.begin();
  };
  return rank(a) >= rank(b) ? a : b;
}

}  // namespace secretfs::cli
