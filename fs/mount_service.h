#pragma once

// Serves any number of mounts from one process: all /dev/fuse descriptors in one epoll set, a pool
// of threads as wide as the machine, one publisher thread. This is the door of fs/ for cli/ and
// k8s/.
//
// The mounts are its own (Start, Mount, Unmount), or a holder's (StartHeld, Take): then it serves
// what it was given, goes on with what another server has served before, and leaves mounting,
// unmounting and changes through the mount to the holder.
//
// Thread-safety: all functions may be called from any thread, except from FUSE worker threads. The
// cache outlives the service.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/kept_values.h"
#include "cache/cache.h"
#include "fs/holder/holder_client.h"
#include "fs/mount_options.h"
#include "fs/mount_spec.h"
#include "fs/mount_status.h"

namespace secretfs::fs {

class RequestJournal;

// Every way in which serving a mount can end.
enum class StopReason {
  kUnmountRequested,   // Unmount or Stop was called
  kUnmountedByKernel,  // somebody ran umount(8) or fusermount3 -u
  kConnectionAborted,  // /sys/fs/fuse/connections/N/abort
  kReadFailed,         // reading /dev/fuse failed otherwise
  kInitRefused,        // the kernel's FUSE version or flags cannot be served
};
std::string_view StopReasonName(StopReason reason);

// What a server has of its holder. All of it outlives the service.
struct HeldBy {
  HolderClient* holder = nullptr;
  RequestJournal* journal = nullptr;
  KeptValues* values = nullptr;  // null: values do not outlive the server
  uint64_t generation = 1;       // of the server
  pid_t hands_thread = 0;        // of ServerSetup
  uid_t holder_user = 0;
  bool use_resend = true;
  // Several servers in a row were killed by what they were left: a mount that another server has
  // served is not taken (DataLoss), and neither is one whose server agreed on something else.
  bool distrusts = false;
  bool must_agree = true;
};

class MountService {
 public:
  // Starts the threads. `workers` 0: one per core.
  static absl::StatusOr<std::unique_ptr<MountService>> Start(cache::Cache& cache,
                                                             const Clock& clock, int workers = 0);
  // The same for mounts of a holder.
  static absl::StatusOr<std::unique_ptr<MountService>> StartHeld(cache::Cache& cache,
                                                                 const Clock& clock, HeldBy held,
                                                                 int workers = 0);
  virtual ~MountService() = default;  // stops serving and unmounts everything

  // Mounts; when this returns OK, the mount answers. `stopped` (may be null) is called once, from a
  // service thread, when the mount ends for whatever reason.
  // Errors: InvalidArgument (spec), NotFound/FailedPrecondition (directory), PermissionDenied and
  // Unavailable (no /dev/fuse or no right to mount), each saying what to do.
  virtual absl::Status Mount(MountOptions options, MountSpec spec,
                             std::function<void(StopReason)> stopped) = 0;

  // Held mounts only: serves the mount; when this returns OK, it answers. `stopped` as for Mount;
  // the holder is told of the end. FailedPrecondition when another version of secretfs served it in
  // a way that this one cannot go on with.
  virtual absl::Status Take(GivenMount given, MountSpec spec,
                            std::function<void(StopReason)> stopped) = 0;
  // Held mounts only: the holder is about to unmount it. Everything that waits is answered; the
  // holder is told when that is done. Returns at once.
  virtual void EndServing(MountId mount) = 0;
  // Held mounts only: another server takes over. Stops at a request boundary; what waits is not
  // answered, nothing is written any more. Only the end of the process may follow. The I/O thread
  // of the cache has been stopped before.
  virtual void Freeze() = 0;

  // Unmounts within 5 s: plainly if it can, lazily if files are open. NotFound if it is not ours.
  virtual absl::Status Unmount(const std::string& directory) = 0;

  virtual absl::StatusOr<MountStatus> Status(const std::string& directory) = 0;
  virtual std::vector<std::string> Directories() = 0;

  // Fetches now: one file of the mount, or all that were ever fetched (`path` empty); OK when all
  // fetches succeeded and the updates were published, otherwise the first error.
  virtual absl::Status Refresh(const std::string& directory, const std::string& path) = 0;
};

}  // namespace secretfs::fs
