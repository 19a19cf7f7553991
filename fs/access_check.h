#pragma once

// Whether a caller may read a file, asked before anything is fetched for it. The kernel itself
// enforces permissions (default_permissions); this only keeps a caller without the right from
// causing requests at a store. Free functions without state; MayRead may read /proc.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "fs/operations.h"

namespace secretfs::fs {

// As the permission bits say, root and the publisher always. Group membership that cannot be learnt
// counts as given: the kernel decides then.
bool MayRead(const Caller& caller, const Attributes& attributes, const GroupsOf& groups_of);

// The supplementary groups of a process or thread, from /proc/PID/status.
std::optional<std::vector<gid_t>> ProcessGroups(pid_t pid);

}  // namespace secretfs::fs
