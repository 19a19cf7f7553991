#pragma once

// Turns this process into the holder of a mount: makes the sockets, writes down what the holder and
// its servers need, and executes secretfs-holder, which stands beside this program. Main thread, no
// other may exist.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/daemonize.h"
#include "cli/environment.h"
#include "cli/mount_request.h"
#include "fs/mount_options.h"

namespace secretfs::cli {

struct LaunchOptions {
  fs::MountOptions mount;
  MountRequest request;
  // What the server is bound to: its sandbox, and the files and folders that it may need.
  bool use_sandbox = true;
  std::vector<std::string> openable;
  bool is_daemon = false;
  UniqueFd log_file;
  bool keep_values = true;
  Duration server_timeout = std::chrono::seconds(30);
  std::string server_user;  // see cli/server_user.h
  bool use_resend = true;
};

// Returns only when it failed; the holder reports to `report` otherwise.
absl::Status ExecuteHolder(LaunchOptions options, const Environment& environment,
                           ReadyReport& report);

}  // namespace secretfs::cli
