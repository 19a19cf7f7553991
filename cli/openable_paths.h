#pragma once

// The files that a server may need and may have no right to open: stores, keys, credentials and
// certificates that a manifest names. The holder opens exactly these for it. Free functions without
// state.

#include <string>
#include <vector>

#include "cli/environment.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

// Absolute, without doubles. A local store's folder is among them: writers replace the file.
std::vector<std::string> OpenablePaths(const k8s::Manifest& manifest,
                                       const Environment& environment);

}  // namespace secretfs::cli
