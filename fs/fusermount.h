#pragma once

// fusermount3, the set-user-id helper through which a normal user mounts: it opens /dev/fuse,
// mounts and hands the descriptor over a socket. With auto_unmount it stays and unmounts when our
// end of the socket closes, however our process ends.
//
// Every wait for the helper is bounded. Safe to use from any thread.

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

// A running `fusermount3 -o auto_unmount`; move-only. Dropping it closes the socket (so that the
// helper unmounts, if that has not happened yet, and exits) and collects the process.
class AutoUnmountHelper {
 public:
  AutoUnmountHelper() = default;
  AutoUnmountHelper(UniqueFd socket, pid_t process)
      : socket_(std::move(socket)), process_(process) {}
  AutoUnmountHelper(AutoUnmountHelper&& other) noexcept
      : socket_(std::move(other.socket_)), process_(std::exchange(other.process_, -1)) {}
  AutoUnmountHelper& operator=(AutoUnmountHelper&& other) noexcept;
  AutoUnmountHelper(const AutoUnmountHelper&) = delete;
  AutoUnmountHelper& operator=(const AutoUnmountHelper&) = delete;
  ~AutoUnmountHelper() { End(); }

  bool running() const { return socket_.valid(); }
  // What the helper watches. A process that serves the mount keeps a duplicate: the helper unmounts
  // only if the mount is dead at the moment when the last one closes.
  int socket() const { return socket_.get(); }

 private:
  void End();

  UniqueFd socket_;
  pid_t process_ = -1;
};

struct FusermountResult {
  UniqueFd device;
  AutoUnmountHelper auto_unmount;  // running only if that was asked for
};

// Mounts with fusermount3's `options` ("fsname=…,subtype=…"). Errors carry what the helper said.
absl::StatusOr<FusermountResult> MountThroughFusermount(const std::string& directory,
                                                        const std::string& options,
                                                        bool auto_unmount);

// `fusermount3 -u`, with -z if `lazy`.
absl::Status UnmountThroughFusermount(const std::string& directory, bool lazy);

}  // namespace secretfs::fs
