#pragma once

// Naming a mount by its directory, also when nobody serves it any more and every call on it fails.
// Free functions without state.

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace secretfs::cli {

// `directory` absolute and without links, as far as that can be found out without touching the
// directory itself: its parent is resolved, its last name kept. A directory that is itself a link
// is resolved too.
std::string CanonicalMountDirectory(const std::string& directory);

// The device number of the secretfs mount at `directory` in `mountinfo` (the text of
// /proc/self/mountinfo); the topmost one. Nothing when there is none.
std::optional<dev_t> FindSecretfsMount(std::string_view mountinfo, std::string_view directory);

// The same for this process.
std::optional<dev_t> FindSecretfsMount(const std::string& directory);

}  // namespace secretfs::cli
