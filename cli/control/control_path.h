#pragma once

// Where control sockets are. Each mounting process has one, in a directory that only its user can
// enter: $SECRETFS_RUNTIME_DIR and nowhere else if that is set; otherwise
// $XDG_RUNTIME_DIR/secretfs, /run/secretfs for root, else /tmp/secretfs-UID. Its name is a hash of
// the mount's directory, so that it fits into a socket address and anybody can find it. A directory
// that is a link, is somebody else's, or is open to others is never used. Free functions without
// state.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/environment.h"

namespace secretfs::cli {

// The directory in which this process puts its socket; made if it is missing. FailedPrecondition
// when every candidate is unusable, naming each with its reason.
absl::StatusOr<std::string> MakeControlDirectory(const Environment& environment);

// The directories that exist and may be trusted, in which a client looks.
std::vector<std::string> TrustedControlDirectories(const Environment& environment);

// "0123456789abcdef.sock", for the mount at `mount_directory` (absolute).
std::string ControlSocketName(std::string_view mount_directory);
// "0123456789abcdef.holder", where that mount's holder listens.
std::string HolderSocketName(std::string_view mount_directory);

// All sockets in the trusted directories, sorted.
std::vector<std::string> ControlSockets(const Environment& environment);
std::vector<std::string> HolderSockets(const Environment& environment);

// OK when `path` is a directory, not a link, of this user and closed to others.
absl::Status CheckPrivateDirectory(const std::string& path);

}  // namespace secretfs::cli
