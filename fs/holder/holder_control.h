#pragma once

// Asking a holder from the command line: how its server is, to unmount, to upgrade. The holder
// listens on a socket of its own, so that this works while no server runs. The peer's user must be
// the holder's own or root (SO_PEERCRED), checked on both sides.
//
// Free functions without state; every wait is bounded.

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"

namespace secretfs::fs {

struct HolderStatus {
  pid_t holder = 0;
  pid_t server = 0;  // 0: none runs now
  bool server_is_ready = false;
  uint64_t generation = 0;  // of servers
  uint64_t restarts = 0;    // after a death
  WallTime server_started_at;
  std::string last_death;  // "was killed by signal 9", empty before the first
  std::vector<std::string> directories;
};

// NotFound when nobody listens there.
absl::StatusOr<HolderStatus> AskHolder(const std::string& holder_path);
// Returns when the mount is gone. Within 5 s.
absl::Status UnmountThroughHolder(const std::string& holder_path, const std::string& directory);
// Starts a server from the binary that is there now, and returns when it serves and the old one has
// ended; otherwise the old one goes on and the error says why.
absl::Status UpgradeThroughHolder(const std::string& holder_path);

}  // namespace secretfs::fs
