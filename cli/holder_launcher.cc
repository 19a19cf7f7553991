#include "cli/holder_launcher.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/control/control_path.h"
#include "cli/control/control_server.h"
#include "cli/server_user.h"
#include "fs/holder/holder_launch.h"
#include "k8s/manifest/scalars.h"

namespace secretfs::cli {
namespace {

absl::StatusOr<std::string> OwnProgram() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) {
    return absl::InternalError(Format("cannot find the own program ({})", strerror(errno)));
  }
  std::string program(path, static_cast<size_t>(length));
  // Replaced since we were started: the new one stands where we stood.
  constexpr std::string_view kDeleted = " (deleted)";
  if (program.ends_with(kDeleted)) program.resize(program.size() - kDeleted.size());
  return program;
}

void KeepOverExec(int descriptor) { fcntl(descriptor, F_SETFD, 0); }

// A mount without its sockets still works: it can be ended by a signal and by umount(8).
UniqueFd MakeSockets(const LaunchOptions& options, const Environment& environment,
                     fs::HolderLaunch& launch) {
  const absl::StatusOr<std::string> place = MakeControlDirectory(environment);
  absl::Status problem = place.status();
  UniqueFd listening;
  if (place.ok()) {
    const std::string path = *place + "/" + ControlSocketName(options.mount.directory);
    absl::StatusOr<UniqueFd> socket = ControlServer::Listen(path);
    problem = socket.status();
    if (socket.ok()) {
      listening = *std::move(socket);
      launch.control = listening.get();
      launch.control_path = path;
      launch.holder_path = *place + "/" + HolderSocketName(options.mount.directory);
      KeepOverExec(listening.get());
    }
  }
  if (!problem.ok()) {
    Log().warn("'secretfs status' and 'secretfs umount' will not find this mount: {}",
               MessageOf(problem));
  }
  return listening;
}

}  // namespace

absl::Status ExecuteHolder(LaunchOptions options, const Environment& environment,
                           ReadyReport& report) {
  SECRETFS_ASSIGN_OR_RETURN(const std::string program, OwnProgram());
  SECRETFS_ASSIGN_OR_RETURN(const std::optional<ServerUser> user,
                            FindServerUser(options.server_user, options.mount.directory));
  fs::HolderLaunch launch;
  launch.mounts = {options.mount};
  // The directory is for people who look at the list of processes.
  launch.server_arguments = {program, "serve", options.mount.directory};
  if (user.has_value()) {
    if (user->made_up) {
      Log().warn(
          "there is no user 'secretfs' on this machine: the server of this mount runs as user {}, "
          "which nobody else has (docs/security.md says how to make one)",
          user->uid);
    }
    launch.server_user = user->uid;
    launch.server_group = user->gid;
  }
  launch.use_sandbox = options.use_sandbox;
  launch.openable = std::move(options.openable);
  launch.server_timeout = options.server_timeout;
  launch.keep_values = options.keep_values;
  launch.use_resend = options.use_resend;
  // A closed terminal ends a mount in the foreground, as it ends any program.
  launch.upgrade_on_hangup = options.is_daemon;
  launch.log_level = options.request.log_level;
  launch.log_json = options.request.log_format == "json";

  SECRETFS_ASSIGN_OR_RETURN(const UniqueFd payload, WriteMountRequest(options.request));
  launch.payload = payload.get();
  KeepOverExec(payload.get());
  const UniqueFd control = MakeSockets(options, environment, launch);
  if (options.log_file.valid()) {
    launch.log = options.log_file.get();
    KeepOverExec(options.log_file.get());
  }
  launch.report = report.KeepOverExec();
  SECRETFS_ASSIGN_OR_RETURN(const UniqueFd memory, fs::WriteHolderLaunch(launch));

  std::string holder = program.substr(0, program.rfind('/') + 1) + "secretfs-holder";
  std::string argument = std::to_string(memory.get());
  char* arguments[] = {holder.data(), argument.data(), nullptr};
  execv(holder.c_str(), arguments);
  const int error = errno;
  if (!launch.control_path.empty()) unlink(launch.control_path.c_str());
  return absl::FailedPreconditionError(Format(
      "cannot run {} ({}); it is part of secretfs and stands beside it", holder, strerror(error)));
}

}  // namespace secretfs::cli
