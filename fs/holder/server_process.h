#pragma once

// Starting a server: a child process without rights, which has nothing of the holder's but its ends
// of a socket pair and of a pipe, for stdout and stderr. It changes its user itself
// (fs/holder/server_start.h). The holder collects it when SIGCHLD says so.
//
// ServerStarter is not thread-safe: it forks on the thread whose end its servers do not survive,
// the holder's main thread; the child is made ready for exec by system calls alone, because
// other threads of the holder may hold locks at that moment.

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

struct StartedServer {
  pid_t process = 0;
  UniqueFd socket;  // the holder's end, non-blocking
  UniqueFd output;  // what it writes to stdout and stderr, non-blocking
};

class ServerStarter {
 public:
  struct Options {
    std::vector<std::string> arguments;  // the first is the program's absolute path
    // As whom it runs; only root can choose. All capabilities are dropped in any case.
    std::optional<uid_t> user;
    gid_t group = 0;
    sigset_t signal_mask = {};  // what the server starts with
  };
  explicit ServerStarter(Options options) : options_(std::move(options)) {}

  // Starts the program that is at the path now. With `proven`, or when that cannot be opened, the
  // one that last became ready, if there is one. Errors name the step that failed.
  absl::StatusOr<StartedServer> Start(bool proven);

  // Whether a server has become the user that it was told to, before it is given a mount.
  absl::Status CheckRights(pid_t process) const;

  // The server that was started last has become ready.
  void Proven() { proven_program_ = std::move(last_program_); }

 private:
  bool changes_user() const;
  absl::StatusOr<UniqueFd> OpenProgram(bool proven) const;

  const Options options_;
  UniqueFd last_program_;
  UniqueFd proven_program_;
};

// "was killed by signal 9", "exited with code 3", from a wait status.
std::string DescribeExit(int wait_status);
// Whether such a description says so.
bool WasKilled(std::string_view description);

}  // namespace secretfs::fs
