#pragma once

// The files that a server may read besides the system's: stores, keys, credentials and certificates
// that a manifest names, and where it leaves that to what is usual, the usual ones of that kind of
// store. The holder opens exactly these for it. Free functions without state.

#include <string>
#include <vector>

#include "cli/environment.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

// Absolute, without doubles; of the stores that something is mounted of. No folder but one of
// certificates: whoever replaces a file is found by its name.
std::vector<std::string> OpenablePaths(const k8s::Manifest& manifest,
                                       const Environment& environment);

}  // namespace secretfs::cli
