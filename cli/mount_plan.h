#pragma once

// From a manifest to what fs/ mounts: stores registered, every file and tree with its store's id,
// and the expansions. In the flat layout those are a lazy browse tree, so that mounting contacts no
// store; in the atomic layout, whose set of files is fixed, their names are asked for now. When the
// store does not answer then, the mount goes on without them, and a warning says so.
//
// Not thread-safe; main thread. Dropped after the mount has ended and before the runtime.

#include <memory>

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

 private:
  absl::Status AddExpansions(const std::vector<Expansion>& expansions,
                             const k8s::Manifest& manifest, Runtime& runtime);

  fs::MountSpec spec_;
  std::unique_ptr<ExpansionSource> expansions_;
};

}  // namespace secretfs::cli
