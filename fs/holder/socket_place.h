#pragma once

// Listening and connecting at a path that may be longer than the 107 bytes of a socket address: the
// folder is opened and the socket reached through /proc/self/fd. Free functions; safe from any
// thread, but ListenAt changes the umask for a moment.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

// A listening SOCK_SEQPACKET socket of mode 0600; what a dead process left at `path` is replaced.
// The folder must belong to this user or root, and nobody else may write to it. AlreadyExists when
// somebody answers there, FailedPrecondition for such a folder.
absl::StatusOr<UniqueFd> ListenAt(const std::string& path);

// NotFound when nobody listens there.
absl::StatusOr<UniqueFd> ConnectTo(const std::string& path);

// Removes the socket; something else at `path` is left alone.
void RemoveSocket(const std::string& path);

}  // namespace secretfs::fs
