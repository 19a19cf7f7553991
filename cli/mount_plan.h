#pragma once

// From a manifest to what fs/ mounts: stores registered, every file and tree with its store's id,
// and the expansions. In the flat layout those are a lazy browse tree, so that mounting contacts no
// store; in the atomic layout, whose set of files is fixed, their names are asked for now. When the
// store does not give them, the mount goes on without them and a warning says so; whoever serves it
// asks again later and mounts anew once the names are there (Complete).
//
// Not thread-safe; main thread. Dropped after the mount has ended and before the runtime.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/expansion_source.h"
#include "cli/runtime.h"
#include "fs/mount_spec.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

class MountPlan {
 public:
  static absl::StatusOr<MountPlan> Make(const k8s::Manifest& manifest, Runtime& runtime);

  const fs::MountSpec& spec() const { return spec_; }
  // Null without expansions, and in the atomic layout.
  ExpansionSource* expansions() const { return expansions_.get(); }

  // The expansions whose names are still to be asked for; empty when nothing is missing.
  const std::vector<Expansion>& missing() const { return missing_; }
  // The same with what an earlier server noted, if anything is missing and there is a note.
  absl::Status CompleteFromNote(Runtime& runtime);
  // Puts the files into the spec that `missing` stood for.
  absl::Status Complete(const ExpandedFiles& files);

 private:
  absl::Status AddExpansions(std::vector<Expansion> expansions, const k8s::Manifest& manifest,
                             Runtime& runtime);
  std::set<std::string> TakenNames() const;

  fs::MountSpec spec_;
  std::vector<Expansion> missing_;
  std::unique_ptr<ExpansionSource> expansions_;
};

}  // namespace secretfs::cli
