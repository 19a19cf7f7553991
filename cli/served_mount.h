#pragma once

// One mount from start to end in this process: stores, cache, filesystem and control socket brought
// up, served until somebody ends it, and taken down in the order that loses nothing: unmount,
// revoke leases, stop. Main thread; no other thread may exist when it is called.

#include <string>

#include "base/unique_fd.h"
#include "cli/daemonize.h"
#include "cli/environment.h"
#include "fs/mount_service.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

struct ServedMountOptions {
  fs::MountOptions mount;
  k8s::Manifest manifest;
  std::string source;  // STORE_URL or manifest, for the log
  bool ignore_hangup = false;
  UniqueFd log_file;
};

// Returns the exit code: 0 after SIGINT, SIGTERM, `secretfs umount` or umount(8).
int ServeMount(ServedMountOptions options, const Environment& environment, ReadyReport report);

}  // namespace secretfs::cli
