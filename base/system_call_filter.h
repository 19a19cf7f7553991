#pragma once

// The part of the sandbox that bounds system calls (seccomp, an allow-list): what a server needs
// for files that it reads, the network, memory and threads of its own, with their arguments bounded
// as far as they are numbers. It cannot look behind pointers, so that which files are opened and
// which addresses connected is for others to bound. A free function without state.

#include "absl/status/status.h"

namespace secretfs {

struct SystemCallFilterOptions {
  // Landlock keeps socket files from being made: bind can be left to netlink sockets.
  bool files_are_bounded = false;
};

// From now on all threads of this process make no other system calls: EPERM, or what libraries take
// as "this kernel has none" (openat2 and clone3: ENOSYS, Unix sockets: EAFNOSUPPORT). REQUIRES:
// no_new_privs is set.
absl::Status FilterSystemCalls(const SystemCallFilterOptions& options);

}  // namespace secretfs
