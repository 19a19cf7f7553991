#include "fs/through_mount.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>

#include "fs/mount_table.h"
#include "fs/names.h"

namespace secretfs::fs {
namespace {

// Opens `path` below `root` without leaving the mount, whatever is mounted or linked inside.
UniqueFd OpenBelow(int root, const std::string& path, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  const int file = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
  if (file >= 0 || errno != ENOSYS) return UniqueFd(file);
  return UniqueFd(openat(root, path.c_str(), flags | O_CLOEXEC));  // Linux before 5.6
}

}  // namespace

UniqueFd OpenMountRoot(const std::string& directory, dev_t device_number) {
  UniqueFd root(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.valid() && DeviceNumberOf(root.get()) != device_number) {
    root.Reset();
    errno = ENOENT;
  }
  return root;
}

bool IsNameInMount(std::string_view name) {
  return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool IsPathBelowMount(std::string_view path) {
  if (path.size() >= PATH_MAX) return false;
  while (true) {
    const size_t slash = path.find('/');
    if (!IsNameInMount(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

int SwitchDataThroughMount(int root, const std::string& target) {
  if (!IsNameInMount(target)) return EINVAL;
  if (symlinkat(target.c_str(), root, kTemporaryDataLink.data()) != 0) {
    // Left by a predecessor that died in between.
    if (errno != EEXIST || unlinkat(root, kTemporaryDataLink.data(), 0) != 0 ||
        symlinkat(target.c_str(), root, kTemporaryDataLink.data()) != 0) {
      return errno;
    }
  }
  return renameat(root, kTemporaryDataLink.data(), root, kDataLink.data()) == 0 ? 0 : errno;
}

int TouchThroughMount(int root, const std::string& path, dev_t device_number) {
  if (!IsPathBelowMount(path)) return EINVAL;
  const UniqueFd file = OpenBelow(root, path, O_WRONLY | O_NONBLOCK);
  struct stat attributes = {};
  if (!file.valid() || fstat(file.get(), &attributes) != 0) return errno;
  if (attributes.st_dev != device_number) return EXDEV;
  return ftruncate(file.get(), attributes.st_size) == 0 ? 0 : errno;
}

int LookUpThroughMount(int root, const std::string& path) {
  if (!IsPathBelowMount(path)) return EINVAL;
  struct statx attributes = {};
  // Not followed: a link's target would be looked up outside of what `root` confines.
  const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT;
  return statx(root, path.c_str(), flags, STATX_SIZE, &attributes) == 0 ? 0 : errno;
}

}  // namespace secretfs::fs
