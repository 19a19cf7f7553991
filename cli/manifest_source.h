#pragma once

// What a mount or a run is made from: manifest files, or a STORE_URL turned into the same form (one
// store, one browse tree over all of it), with the command line's own settings on top. Contacts no
// store. Free functions without state.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/environment.h"
#include "cli/store_url.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

// Flags that win over what a manifest says.
struct MountOverrides {
  std::optional<Duration> ttl;
  std::optional<fs::Layout> layout;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> file_mode;
};

// Every problem of all files, one a line. Warnings are logged; paths come out absolute.
absl::StatusOr<k8s::Manifest> ReadManifestFiles(const std::vector<std::string>& paths);

// The same for texts that were read already, without logging the warnings again.
absl::StatusOr<k8s::Manifest> ReadManifestTexts(const k8s::NamedTexts& named_texts);

absl::StatusOr<k8s::Manifest> ManifestForUrl(const StoreUrl& url, const Environment& environment);

// NotFound when a local store's file does not exist: with nothing but a URL, nobody can have meant
// a store that will only exist later. For commands, not for servers: one that starts while the
// store is away still has the values of the last one.
absl::Status CheckLocalStoreExists(const k8s::Manifest& manifest);

void ApplyOverrides(const MountOverrides& overrides, k8s::Manifest& manifest);

}  // namespace secretfs::cli
