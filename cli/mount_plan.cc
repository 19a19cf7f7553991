#include "cli/mount_plan.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/expansion_note.h"
#include "cli/manifest_stores.h"
#include "cli/manifest_values.h"

namespace secretfs::cli {
namespace {

fs::MountSpec SettingsOf(const k8s::Manifest& manifest) {
  fs::MountSpec spec;
  spec.layout = manifest.layout.value_or(fs::Layout::kFlat);
  spec.uid = manifest.uid.value_or(geteuid());
  spec.gid = manifest.gid.value_or(getegid());
  spec.file_mode = manifest.file_mode.value_or(spec.file_mode);
  spec.directory_mode = manifest.directory_mode.value_or(spec.directory_mode);
  spec.audit_open = manifest.audit_open;
  return spec;
}

cache::Policy StrictestOf(const std::vector<Expansion>& expansions) {
  cache::Policy policy = expansions.front().what.policy;
  for (const Expansion& expansion : expansions) {
    policy = cache::Stricter(policy, expansion.what.policy);
  }
  return policy;
}

}  // namespace

absl::StatusOr<MountPlan> MountPlan::Make(const k8s::Manifest& manifest, Runtime& runtime) {
  MountPlan plan;
  plan.spec_ = SettingsOf(manifest);
  SECRETFS_ASSIGN_OR_RETURN(const StoreIds stores, AddManifestStores(manifest, runtime));
  for (const k8s::ManifestFile& file : manifest.files) {
    plan.spec_.files.push_back({.path = file.path,
                                .store = stores.at(file.store),
                                .ref = file.ref,
                                .selection = file.selection,
                                .mode = file.mode,
                                .policy = file.policy});
  }
  for (const k8s::ManifestBrowse& tree : manifest.browse) {
    const cache::StoreId store = stores.at(tree.store);
    if (!runtime.cache().StoreCapabilities(store).list) {
      return absl::FailedPreconditionError(
          Format("{}: store '{}' cannot list names, so it cannot be browsed; name its files in a "
                 "manifest",
                 tree.origin, tree.store));
    }
    plan.spec_.browse.push_back(
        {.path = tree.path, .store = store, .prefix = tree.prefix, .policy = tree.policy});
  }
  std::vector<Expansion> expansions = ExpansionsOf(manifest, stores);
  if (!expansions.empty()) {
    SECRETFS_RETURN_IF_ERROR(plan.AddExpansions(std::move(expansions), manifest, runtime));
  }
  SECRETFS_RETURN_IF_ERROR(fs::ValidateMountSpec(plan.spec_));
  return plan;
}

// Names in the root that the manifest gives to its own files, which win.
std::set<std::string> MountPlan::TakenNames() const {
  std::set<std::string> taken;
  for (const fs::FileSpec& file : spec_.files)
    taken.insert(file.path.substr(0, file.path.find('/')));
  return taken;
}

absl::Status MountPlan::AddExpansions(std::vector<Expansion> expansions,
                                      const k8s::Manifest& manifest, Runtime& runtime) {
  if (spec_.layout == fs::Layout::kFlat) {
    if (std::any_of(spec_.browse.begin(), spec_.browse.end(),
                    [](const fs::BrowseSpec& tree) { return tree.path.empty(); })) {
      return absl::InvalidArgumentError(Format(
          "{}: dataFrom puts its files into the root of the mount, where a browse tree is already; "
          "give the tree a path",
          manifest.expansions.front().origin));
    }
    expansions_ = ExpansionSource::Make(runtime, expansions, TakenNames());
    spec_.browse.push_back({.path = "",
                            .store = expansions_->store(),
                            .prefix = "",
                            .policy = StrictestOf(expansions)});
    return absl::OkStatus();
  }
  // A server after the first one shows what the others showed, whatever the store says by now.
  if (const auto noted = NotedExpandedFiles(expansions, runtime.kept())) return Complete(*noted);
  const absl::StatusOr<ExpandedFiles> files = ExpandAndWait(runtime, expansions);
  if (files.ok()) {
    NoteExpandedFiles(*files, runtime.kept());
    return Complete(*files);
  }
  Log().warn(
      "mounting without the files of dataFrom, whose names the store did not give; they appear "
      "when "
      "it does: {}",
      MessageOf(files.status()));
  missing_ = std::move(expansions);
  return absl::OkStatus();
}

absl::Status MountPlan::CompleteFromNote(Runtime& runtime) {
  if (missing_.empty()) return absl::OkStatus();
  const auto noted = NotedExpandedFiles(missing_, runtime.kept());
  return noted ? Complete(*noted) : absl::OkStatus();
}

absl::Status MountPlan::Complete(const ExpandedFiles& files) {
  const std::set<std::string> taken = TakenNames();
  for (const auto& [name, file] : files) {
    if (taken.contains(name)) continue;
    spec_.files.push_back({.path = name,
                           .store = file.key.store,
                           .ref = file.key.ref,
                           .selection = file.selection,
                           .mode = std::nullopt,
                           .policy = file.policy});
  }
  missing_.clear();
  return fs::ValidateMountSpec(spec_);
}

}  // namespace secretfs::cli
