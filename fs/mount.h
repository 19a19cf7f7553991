#pragma once

// Opening /dev/fuse and mounting, kept apart from serving: a MountedFuse is all that serving starts
// from, so it may as well have come from another process over a socket.
//
// Nothing here waits for requests to be answered, except the check of a directory on which another
// secretfs is mounted. Safe to use from any thread.

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "fs/fusermount.h"
#include "fs/mount_options.h"

namespace secretfs::fs {

// A mount that exists and that nobody serves yet. Dropping it closes the descriptor, which aborts
// the connection, but leaves the mount in place: UnmountFuse takes it away.
struct MountedFuse {
  UniqueFd device;          // /dev/fuse, non-blocking, close-on-exec
  std::string directory;    // canonical
  dev_t device_number = 0;  // st_dev of everything inside
  AutoUnmountHelper auto_unmount;
};

// The canonical form of an existing directory. NotFound or FailedPrecondition, saying what to do. A
// dead secretfs mount on it (its process was killed) is taken away first.
absl::StatusOr<std::string> PrepareMountPoint(const std::string& directory);

// Whether this process can open /dev/fuse: OK, or what to do.
absl::Status CheckFuseDevice();

// Mounts on `options.directory`: by mount(2) as root, through fusermount3 otherwise (and for
// auto_unmount). Errors: as PrepareMountPoint; PermissionDenied, Unavailable (no /dev/fuse, no
// fusermount3).
absl::StatusOr<MountedFuse> MountFuse(const MountOptions& options);

// Whether the mount with that device number is what `directory` shows.
bool IsMounted(const std::string& directory, dev_t device_number);

// Takes the mount away, plainly if nothing is open in it, otherwise lazily. OK if it is gone
// already; FailedPrecondition if something else is mounted over it. Takes at most a few seconds.
absl::Status UnmountFuse(const std::string& directory, dev_t device_number);

}  // namespace secretfs::fs
