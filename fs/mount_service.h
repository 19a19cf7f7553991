#pragma once

// Serves any number of mounts from one process: all /dev/fuse descriptors in one epoll set, a pool
// of threads as wide as the machine, one publisher thread. This is the door of fs/ for cli/ and
// k8s/.
//
// Thread-safety: all functions may be called from any thread, except from FUSE worker threads. The
// cache outlives the service.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/cache.h"
#include "fs/mount_options.h"
#include "fs/mount_spec.h"
#include "fs/mount_status.h"

namespace secretfs::fs {

// Every way in which serving a mount can end.
enum class StopReason {
  kUnmountRequested,   // Unmount or Stop was called
  kUnmountedByKernel,  // somebody ran umount(8) or fusermount3 -u
  kConnectionAborted,  // /sys/fs/fuse/connections/N/abort
  kReadFailed,         // reading /dev/fuse failed otherwise
  kInitRefused,        // the kernel's FUSE version or flags cannot be served
};
std::string_view StopReasonName(StopReason reason);

class MountService {
 public:
  // Starts the threads. `workers` 0: one per core.
  static absl::StatusOr<std::unique_ptr<MountService>> Start(cache::Cache& cache,
                                                             const Clock& clock, int workers = 0);
  virtual ~MountService() = default;  // stops serving and unmounts everything

  // Mounts; when this returns OK, the mount answers. `stopped` (may be null) is called once, from a
  // service thread, when the mount ends for whatever reason.
  // Errors: InvalidArgument (spec), NotFound/FailedPrecondition (directory), PermissionDenied and
  // Unavailable (no /dev/fuse or no right to mount), each saying what to do.
  virtual absl::Status Mount(MountOptions options, MountSpec spec,
                             std::function<void(StopReason)> stopped) = 0;

  // Unmounts within 5 s: plainly if it can, lazily if files are open. NotFound if it is not ours.
  virtual absl::Status Unmount(const std::string& directory) = 0;

  virtual absl::StatusOr<MountStatus> Status(const std::string& directory) = 0;
  virtual std::vector<std::string> Directories() = 0;

  // Fetches now: one file of the mount, or all that were ever fetched (`path` empty); OK when all
  // fetches succeeded and the updates were published, otherwise the first error.
  virtual absl::Status Refresh(const std::string& directory, const std::string& path) = 0;
};

}  // namespace secretfs::fs
