#pragma once

// How a program becomes a holder's server: what the holder tells it by its environment, and what it
// does first. The change of user happens here, after exec, and not before it: exec would make a
// process of that user readable to all others of it (/proc/PID/mem) until it forbids that itself.
// A change of user forbids it in the same step.
//
// Free functions; main thread, before any other exists.

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

// The environment variable.
inline constexpr char kServerStartVariable[] = "SECRETFS_SERVER_START";

struct ServerStartWords {
  int socket = -1;
  pid_t holder = 0;
  // As whom to run: only for a holder of root.
  std::optional<uid_t> user;
  gid_t group = 0;
};
std::string FormatServerStart(const ServerStartWords& words);
std::optional<ServerStartWords> ParseServerStart(const std::string& text);

// Takes the variable out of the environment; becomes the user, without groups, capabilities and
// any way back to them; and is killed from now on when the holder dies. Returns the holder's
// socket. NotFound when no holder has started this process.
absl::StatusOr<UniqueFd> BecomeServer();

// Whether `process` runs as `user` with no capability: what the holder wants to see before it gives
// a mount to its server.
absl::Status CheckServerRights(pid_t process, uid_t user);

}  // namespace secretfs::fs
