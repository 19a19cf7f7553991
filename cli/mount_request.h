#pragma once

// What is to be mounted, as the command line hands it to each server through the holder: what the
// flags say and the text of the manifests. The server reads the manifests from here, so that it
// needs no right to open them, and every server of a mount reads the same. Plain values; free
// functions without state.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/environment.h"
#include "cli/manifest_source.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

struct MountRequest {
  // One of the two.
  std::string store_url;
  k8s::NamedTexts manifests;  // by absolute path

  std::string source;  // the URL or the first manifest, for the log
  MountOverrides overrides;
  // Whose files they are unless somebody says otherwise.
  uid_t owner = 0;
  gid_t group = 0;
  std::string log_level = "info";
  std::string log_format = "text";
};

// JSON in sealed memory (base/sealed_memory.h): it may hold the credentials of a manifest's
// Secrets, and no server may change what the next one reads. Reading refuses memory that is not
// sealed.
absl::StatusOr<UniqueFd> WriteMountRequest(const MountRequest& request);
absl::StatusOr<MountRequest> ReadMountRequest(int memory);

// The manifest that the request stands for, flags applied. Errors name the files.
absl::StatusOr<k8s::Manifest> ManifestOf(const MountRequest& request,
                                         const Environment& environment);

}  // namespace secretfs::cli
