#pragma once

// The side of a command: finds the control socket of a mount and asks one thing. Blocking, with
// time limits; for single-threaded commands. Removes the sockets that dead processes left behind.

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/control/control_protocol.h"
#include "cli/environment.h"

namespace secretfs::cli {

class ControlClient {
 public:
  // The process that serves `directory` (absolute). NotFound when there is none.
  static absl::StatusOr<ControlClient> ForDirectory(const Environment& environment,
                                                    const std::string& directory);
  // NotFound when nobody listens at `path` any more; the socket is then removed.
  static absl::StatusOr<ControlClient> AtSocket(const std::string& path);

  // Sends `request` and waits for its answer. The failure of the request itself is in the response;
  // a status that is not OK means that nothing was understood: Unavailable, DeadlineExceeded.
  absl::StatusOr<ControlResponse> Ask(const ControlRequest& request, std::chrono::seconds limit);

  // Waits until the other side has closed the connection, which it does last. False when it still
  // has not after `limit`.
  bool WaitForEnd(std::chrono::seconds limit);

 private:
  explicit ControlClient(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

}  // namespace secretfs::cli
