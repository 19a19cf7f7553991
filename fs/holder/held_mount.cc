#include "fs/holder/held_mount.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log_line.h"
#include "base/shared_records.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// Address space, not memory: what was never used takes none.
constexpr size_t kStateBytes = 16 << 20;
constexpr size_t kStateRecords = 1 << 16;

absl::StatusOr<UniqueFd> MakeState() {
  // The holder only keeps it: as soon as the map is gone, its pages are not counted here.
  SECRETFS_ASSIGN_OR_RETURN(
      const SharedRecords records,
      SharedRecords::Create({.bytes = kStateBytes, .records = kStateRecords}));
  UniqueFd memory(fcntl(records.memory(), F_DUPFD_CLOEXEC, 3));
  if (memory.valid()) return memory;
  return absl::ResourceExhaustedError(Format("cannot keep a mount's state ({})", strerror(errno)));
}

}  // namespace

absl::StatusOr<HeldMount> HoldMount(const MountOptions& options, WallTime now) {
  HeldMount mount;
  mount.options = options;
  mount.mounted_at = now;
  SECRETFS_ASSIGN_OR_RETURN(mount.state, MakeState());
  SECRETFS_ASSIGN_OR_RETURN(mount.fuse, MountFuse(options));
  return mount;
}

bool AbortConnection(dev_t device_number) {
  const std::string path = Format("/sys/fs/fuse/connections/{}/abort", minor(device_number));
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() && write(file.get(), "1", 1) == 1;
}

absl::StatusOr<UniqueFd> MakeFixedSizeMemory(const char* name, size_t bytes) {
  UniqueFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid() || ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return absl::ResourceExhaustedError(
        Format("cannot make memory for {} ({})", name, strerror(errno)));
  }
  return memory;
}

}  // namespace secretfs::fs
