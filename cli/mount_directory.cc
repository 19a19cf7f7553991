#include "cli/mount_directory.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "cli/environment.h"
#include "fs/mount_table.h"

namespace secretfs::cli {
namespace {

bool IsSecretfs(const fs::MountTableEntry& mount) {
  return mount.type == "fuse.secretfs" || (mount.type == "fuse" && mount.source == "secretfs");
}

// The one on top, where several are.
std::optional<dev_t> LastSecretfsDevice(const std::vector<fs::MountTableEntry>& mounts) {
  std::optional<dev_t> found;
  for (const fs::MountTableEntry& mount : mounts) {
    if (IsSecretfs(mount)) found = mount.device_number;
  }
  return found;
}

}  // namespace

std::string CanonicalMountDirectory(const std::string& directory) {
  namespace filesystem = std::filesystem;
  std::error_code error;
  filesystem::path path = AbsolutePath(directory);
  if (!path.has_filename()) path = path.parent_path();  // "DIR/"
  // Reading a link asks nobody where there is none; lstat would ask the mount's server, which may
  // hang.
  char target;
  if (readlink(path.c_str(), &target, 1) > 0) {
    const filesystem::path resolved = filesystem::canonical(path, error);
    if (!error) return resolved.string();
  }
  const filesystem::path parent = filesystem::canonical(path.parent_path(), error);
  return error ? path.string() : (parent / path.filename()).string();
}

std::optional<dev_t> FindSecretfsMount(std::string_view mountinfo, std::string_view directory) {
  return LastSecretfsDevice(fs::MountsAtIn(mountinfo, directory));
}

std::optional<dev_t> FindSecretfsMount(const std::string& directory) {
  return LastSecretfsDevice(fs::MountsAt(directory));
}

}  // namespace secretfs::cli
