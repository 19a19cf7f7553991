#pragma once

// The server's end of the socket between holder and server: through it the server gets the mounts
// and asks for the few things that it has no right to do itself. See docs/architecture.md.
//
// Thread-safety: all functions may be called from any thread, except that calls which wait for an
// answer must not be made on the client's own thread (inside Events). Once the holder has gone,
// calls fail at once and OnHolderGone has been called.

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

// A mount of one holder; never used twice.
using MountId = StrongId<struct MountIdTag, uint32_t>;

// One mount that the holder hands over: the server serves it from now on.
struct GivenMount {
  MountId id;
  std::string directory;  // canonical
  dev_t device_number = 0;
  UniqueFd device;  // /dev/fuse, non-blocking; the holder keeps the same open file description
  UniqueFd state;   // memfd of SharedRecords that belongs to the mount (fs/mount_state.h)
  bool taken_over = false;  // another server has served it before
  WallTime mounted_at;
};

// What the holder says first.
struct ServerSetup {
  uint64_t generation = 1;  // of servers of this holder, this one included
  uint64_t restarts = 0;    // how many of them followed a death
  // How many servers in a row ended before they were ready, this one's predecessors: perhaps
  // because of what was left to them.
  uint32_t failed_starts = 0;
  uint32_t crashed_starts = 0;  // the same, of those that were killed by a signal
  bool is_upgrade = false;      // this one takes over from a living one
  bool use_resend = true;       // HolderLaunch's
  // The thread of the holder that touches the mounts, as FUSE requests name it.
  pid_t hands_thread = 0;
  uid_t holder_user = 0;
  bool use_sandbox = true;
  std::vector<std::string> readable;  // files and folders
  UniqueFd payload;      // sealed memory: what to mount, in words that the holder does not read
  UniqueFd journal;      // memfd of the requests in flight (fs/request_journal.h)
  UniqueFd kept_values;  // memfd of KeptValues; invalid without keepValues
  UniqueFd control;      // listening control socket; may be invalid
};

class HolderClient {
 public:
  // Called on the client's own thread, one after the other.
  class Events {
   public:
    virtual ~Events() = default;
    virtual void OnMount(GivenMount mount) = 0;
    // Stop serving: answer everything that waits with ENOTCONN, then call MountEnded.
    virtual void OnEndMount(MountId mount) = 0;
    // Another server takes over: stop at a request boundary without answering what waits, then call
    // HandedOver and exit.
    virtual void OnHandOver() = 0;
    // All mounts have ended: finish (revoke leases) and exit.
    virtual void OnExit() = 0;
    // The holder died: nobody can unmount or restart any more. Exit.
    virtual void OnHolderGone() = 0;
  };

  // `socket` is what the holder left open for its child. Waits for the setup, a bounded time.
  // FailedPrecondition for a holder that speaks another version of the protocol.
  static absl::StatusOr<std::unique_ptr<HolderClient>> Connect(UniqueFd socket);
  virtual ~HolderClient() = default;

  // Once.
  virtual ServerSetup TakeSetup() = 0;
  // Starts the thread. `events` outlives the client.
  virtual void Start(Events& events) = 0;

  // The server can serve: the holder now mounts (the first time) and sends OnMount for each mount.
  virtual void Prepared() = 0;
  // All mounts that were sent are served.
  virtual void Ready() = 0;
  // The server cannot start, and said why on stderr. At the first start the holder then ends with
  // `exit_code`; who asked for an upgrade is told `text`.
  virtual void Failed(int exit_code, std::string text = "") = 0;
  // `reason` is a StopReason's name.
  virtual void MountEnded(MountId mount, std::string reason) = 0;
  virtual void HandedOver() = 0;
  // Asks for the end of a mount (OnEndMount follows), or for a new mount in its place (OnEndMount,
  // then OnMount).
  virtual void Unmount(MountId mount) = 0;
  virtual void MountAnew(MountId mount) = 0;

  // What the holder does through the mount on the server's behalf; wait for it; 0 or an errno.
  // Names are checked by the holder: `path` stays below the mount's root and follows no mount
  // inside. symlink("..data_tmp" -> target), rename("..data_tmp", "..data").
  virtual int SwitchData(MountId mount, const std::string& target) = 0;
  // open for writing, ftruncate to the size it has, close.
  virtual int Touch(MountId mount, const std::string& path) = 0;
  // statx with AT_STATX_FORCE_SYNC: makes the kernel walk the path again.
  virtual int LookUpAgain(MountId mount, const std::string& path) = 0;

  // A file or folder that the payload's allow-list names (checked by the holder against the list
  // that it got at its start, after resolving links), opened read-only by the holder; and a
  // descriptor of events as inotify's, without names, which say that such a file was replaced,
  // rewritten or removed. PermissionDenied when it is not on the list.
  virtual absl::StatusOr<UniqueFd> OpenFile(const std::string& path) = 0;
  virtual absl::StatusOr<UniqueFd> WatchFile(const std::string& path) = 0;
  // The supplementary groups of a process; nothing when they cannot be learnt.
  virtual std::optional<std::vector<gid_t>> GroupsOf(pid_t process) = 0;
};

}  // namespace secretfs::fs
