#include "fs/mount.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/mount_table.h"

namespace secretfs::fs {
namespace {

constexpr char kType[] = "fuse.secretfs";
constexpr char kDevice[] = "/dev/fuse";
// Readers that were just told ENOTCONN need a moment to let go of the mount.
constexpr int kPlainAttempts = 5;
constexpr std::chrono::milliseconds kPlainPause{10};

bool IsRoot() { return geteuid() == 0; }

absl::Status DirectoryError(const std::string& directory, int error) {
  if (error == ENOENT) {
    return absl::NotFoundError(Format(
        "the directory {} does not exist; create it with: mkdir -p {}", directory, directory));
  }
  return absl::FailedPreconditionError(
      Format("cannot use the directory {}: {}", directory, strerror(error)));
}

// realpath for a path whose last component may be a dead mount.
absl::StatusOr<std::string> Canonical(const std::string& directory) {
  char resolved[PATH_MAX];
  if (realpath(directory.c_str(), resolved) != nullptr) return std::string(resolved);
  if (errno != ENOTCONN) return DirectoryError(directory, errno);
  std::string trimmed = directory;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  const std::string parent = slash == 0 ? "/" : trimmed.substr(0, slash);
  if (realpath(parent.c_str(), resolved) == nullptr) return DirectoryError(directory, errno);
  std::string result = resolved;
  if (result != "/") result += '/';
  return result + trimmed.substr(slash + 1);
}

// Asks the filesystem itself, so that a dead one shows.
int ErrorOfDirectory(const std::string& directory) {
  struct statx result = {};
  if (statx(AT_FDCWD, directory.c_str(), AT_STATX_FORCE_SYNC, STATX_TYPE, &result) != 0)
    return errno;
  return S_ISDIR(result.stx_mode) ? 0 : ENOTDIR;
}

absl::Status UnmountOnce(const std::string& directory, bool lazy) {
  if (!IsRoot()) return UnmountThroughFusermount(directory, lazy);
  const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  if (umount2(directory.c_str(), flags) == 0) return absl::OkStatus();
  const std::string text = Format("cannot unmount {}: {}", directory, strerror(errno));
  if (errno == EPERM) return absl::PermissionDeniedError(text);
  return absl::FailedPreconditionError(text);
}

absl::Status RemoveDeadMount(const std::string& directory) {
  const std::vector<MountTableEntry> mounts = MountsAt(directory);
  if (mounts.empty() || mounts.back().type != kType) {
    return absl::FailedPreconditionError(
        Format("a dead mount of type {} is on {}; take it away with: umount -l {}",
               mounts.empty() ? "unknown" : mounts.back().type, directory, directory));
  }
  LogLine(LogLevel::kWarning,
          Format("taking away a secretfs mount on {} whose process has ended", directory));
  return UnmountOnce(directory, /*lazy=*/true);
}

absl::StatusOr<UniqueFd> OpenDevice() {
  UniqueFd device(open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (device.valid()) return device;
  if (errno == ENOENT || errno == ENXIO || errno == ENODEV) {
    return absl::UnavailableError(
        "there is no /dev/fuse; load the fuse module (modprobe fuse) or, in a container, pass "
        "--device /dev/fuse");
  }
  return absl::PermissionDeniedError(Format(
      "cannot open /dev/fuse: {}; in a container, pass --device /dev/fuse --cap-add SYS_ADMIN",
      strerror(errno)));
}

absl::StatusOr<MountedFuse> MountAsRoot(const MountOptions& options, std::string directory) {
  MountedFuse mounted;
  SECRETFS_ASSIGN_OR_RETURN(mounted.device, OpenDevice());
  const std::string data =
      Format("fd={},rootmode=40000,user_id={},group_id={},default_permissions{}",
             mounted.device.get(), getuid(), getgid(), options.allow_other ? ",allow_other" : "");
  // Not MS_RDONLY: the publisher renames through the mount. Everybody else is refused by
  // Operations.
  if (mount(options.source.c_str(), directory.c_str(), kType, MS_NOSUID | MS_NODEV | MS_NOEXEC,
            data.c_str()) != 0) {
    if (errno == EPERM) {
      return absl::PermissionDeniedError(
          Format("mounting on {} is not permitted; in a container, give it SYS_ADMIN "
                 "(--cap-add SYS_ADMIN --device /dev/fuse)",
                 directory));
    }
    if (errno == ENODEV) {
      return absl::UnavailableError("the kernel has no FUSE; load it with: modprobe fuse");
    }
    return absl::FailedPreconditionError(
        Format("cannot mount on {}: {}", directory, strerror(errno)));
  }
  mounted.directory = std::move(directory);
  return mounted;
}

absl::StatusOr<MountedFuse> MountAsUser(const MountOptions& options, std::string directory) {
  std::string source;
  for (const char c : options.source) {
    if (c == ',' || c == '\\') source += '\\';
    source += c;
  }
  const std::string list =
      Format("fsname={},subtype=secretfs,default_permissions,nosuid,nodev,noexec{}", source,
             options.allow_other ? ",allow_other" : "");
  SECRETFS_ASSIGN_OR_RETURN(FusermountResult result,
                            MountThroughFusermount(directory, list, options.auto_unmount));
  MountedFuse mounted;
  mounted.device = std::move(result.device);
  mounted.auto_unmount = std::move(result.auto_unmount);
  mounted.directory = std::move(directory);
  const int flags = fcntl(mounted.device.get(), F_GETFL);
  if (flags < 0 || fcntl(mounted.device.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return absl::InternalError(Format("cannot prepare the FUSE device: {}", strerror(errno)));
  }
  return mounted;
}

}  // namespace

absl::StatusOr<std::string> PrepareMountPoint(const std::string& directory) {
  if (directory.empty() || directory.front() != '/') {
    return absl::InvalidArgumentError(
        Format("the mount directory '{}' must be an absolute path", directory));
  }
  SECRETFS_ASSIGN_OR_RETURN(std::string canonical, Canonical(directory));
  int error = ErrorOfDirectory(canonical);
  // Attempts are bounded: dead mounts can lie on top of each other.
  for (int attempt = 0; error == ENOTCONN && attempt < 16; ++attempt) {
    SECRETFS_RETURN_IF_ERROR(RemoveDeadMount(canonical));
    error = ErrorOfDirectory(canonical);
  }
  const std::vector<MountTableEntry> mounts = MountsAt(canonical);
  if (!mounts.empty() && mounts.back().type == kType) {
    return absl::FailedPreconditionError(
        Format("{} already shows a secretfs mount; take it away with: secretfs umount {}",
               canonical, canonical));
  }
  if (error != 0) return DirectoryError(canonical, error);
  return canonical;
}

absl::Status CheckFuseDevice() { return OpenDevice().status(); }

absl::StatusOr<MountedFuse> MountFuse(const MountOptions& options) {
  SECRETFS_ASSIGN_OR_RETURN(std::string directory, PrepareMountPoint(options.directory));
  auto mounted = IsRoot() && !options.auto_unmount ? MountAsRoot(options, std::move(directory))
                                                   : MountAsUser(options, std::move(directory));
  if (!mounted.ok()) return mounted;
  const auto device = DeviceNumberOf(mounted->directory);
  if (!device) {
    return absl::InternalError(Format("the mount on {} vanished at once", mounted->directory));
  }
  mounted->device_number = *device;
  return mounted;
}

bool IsMounted(const std::string& directory, dev_t device_number) {
  return DeviceNumberOf(directory) == device_number;
}

absl::Status UnmountFuse(const std::string& directory, dev_t device_number) {
  absl::Status status;
  for (int attempt = 0; attempt < kPlainAttempts; ++attempt) {
    if (!IsMounted(directory, device_number)) break;
    status = UnmountOnce(directory, /*lazy=*/false);
    if (status.ok() || absl::IsPermissionDenied(status)) return status;
    std::this_thread::sleep_for(kPlainPause);
  }
  if (IsMounted(directory, device_number)) {
    status = UnmountOnce(directory, /*lazy=*/true);
    // Somebody else may have unmounted it at the same moment.
    if (status.ok() || IsMounted(directory, device_number)) return status;
  }
  const std::vector<MountTableEntry> mounts = MountsAt(directory);
  for (const MountTableEntry& mount : mounts) {
    if (mount.device_number != device_number) continue;
    return absl::FailedPreconditionError(
        Format("{} is hidden by another mount of type {}; unmount that first", directory,
               mounts.back().type));
  }
  return absl::OkStatus();
}

}  // namespace secretfs::fs
