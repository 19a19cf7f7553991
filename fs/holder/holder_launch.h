#pragma once

// How a holder is started: a plain value that the command line (or the CSI node plugin) writes into
// a memfd, whose number is the holder's only argument. The holder believes it: whoever starts a
// holder has its rights. Free functions without state.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "fs/mount_options.h"

namespace secretfs::fs {

struct HolderLaunch {
  std::vector<MountOptions> mounts;

  // The server: argv, of which the first is the absolute path of the program, opened anew at each
  // start so that an upgrade finds the new one. What else it is told: fs/holder/server_start.h.
  std::vector<std::string> server_arguments;
  // As whom the server runs; not set: as the holder itself, which is not root then.
  std::optional<uid_t> server_user;
  gid_t server_group = 0;

  // What each server is bound to, and no server can change (SetupMessage): the sandbox, and the
  // files and folders (absolute) that it may open and ask the holder to open or watch.
  bool use_sandbox = true;
  std::vector<std::string> openable;

  Duration server_timeout = std::chrono::seconds(30);
  bool keep_values = true;
  size_t kept_bytes = 64 << 20;  // at most; less where RLIMIT_MEMLOCK says so
  // False: in-flight requests are found in the journal even where the kernel could resend them.
  bool use_resend = true;
  // SIGHUP asks for an upgrade; false: it ends the holder as SIGTERM does (a closed terminal).
  bool upgrade_on_hangup = true;
  // False: the holder goes on without mounts; its owner adds and removes them at run time.
  bool ends_without_mounts = true;

  // The holder's own log: --log-level's word, and one JSON object a line.
  std::string log_level = "info";
  bool log_json = false;

  // Descriptors that the holder inherits, by number; -1: none.
  int payload = -1;  // sealed memory (base/sealed_memory.h), handed to each server
  int control = -1;  // listening socket for the server
  int report = -1;   // the waiting foreground process (cli/daemonize.h): closed with an exit code
  int log = -1;      // becomes stderr once the mounts are there

  std::string control_path;  // of `control`, removed at the end
  std::string holder_path;   // where the holder itself listens (fs/holder/holder_control.h)
};

// A memfd that survives exec, and back.
absl::StatusOr<UniqueFd> WriteHolderLaunch(const HolderLaunch& launch);
absl::StatusOr<HolderLaunch> ReadHolderLaunch(int descriptor);

}  // namespace secretfs::fs
