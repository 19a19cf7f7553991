#pragma once

// A mount as the holder has it: the one open file description of its device, and the memory that
// outlives its servers. Free functions; nothing here waits for a server. Safe from any thread.

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "fs/holder/holder_client.h"
#include "fs/mount.h"
#include "fs/mount_options.h"

namespace secretfs::fs {

struct HeldMount {
  MountOptions options;
  MountedFuse fuse;
  UniqueFd state;  // memfd of SharedRecords
  WallTime mounted_at;
};

// Mounts, and makes the memory. Errors as MountFuse's.
absl::StatusOr<HeldMount> HoldMount(const MountOptions& options, WallTime now);

// Ends the connection through /sys/fs/fuse/connections: whoever waits gets an error at once, and so
// does everybody afterwards. False where that filesystem is not mounted or not writable.
bool AbortConnection(dev_t device_number);

// A memfd of that size which can neither grow nor shrink.
absl::StatusOr<UniqueFd> MakeFixedSizeMemory(const char* name, size_t bytes);

}  // namespace secretfs::fs
