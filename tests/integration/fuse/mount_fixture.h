#pragma once

// A directory to mount on, under the system's temporary directory, and the promise that nothing
// stays mounted there when a test fails. Tests that need /dev/fuse begin with
// SECRETFS_NEEDS_FUSE().

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/unique_fd.h"
#include "fs/mount_table.h"

namespace secretfs::fs {

// Why real mounts cannot be tested here; empty if they can.
inline std::string ReasonNotToMount() {
  const UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) {
    return std::string("/dev/fuse cannot be opened: ") + strerror(errno) +
           "; load the fuse module, or run the container with --device /dev/fuse";
  }
  if (geteuid() != 0) return "these tests mount and unmount, and enter namespaces, as root";
  return "";
}

#define SECRETFS_NEEDS_FUSE()                                                         \
  if (const std::string reason = ::secretfs::fs::ReasonNotToMount(); !reason.empty()) \
  GTEST_SKIP() << reason

class MountDirectory {
 public:
  MountDirectory() {
    const char* parent = getenv("TMPDIR");
    std::string name = std::string(parent != nullptr ? parent : "/tmp") + "/secretfs-fuse-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      perror("mkdtemp");
      abort();
    }
    path_ = name;
    chmod(path_.c_str(), 0755);
  }
  MountDirectory(const MountDirectory&) = delete;
  MountDirectory& operator=(const MountDirectory&) = delete;
  ~MountDirectory() {
    for (int i = 0; i < 16 && !MountsAt(path_).empty(); ++i) umount2(path_.c_str(), MNT_DETACH);
    rmdir(path_.c_str());
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The whole file, or "errno NAME".
inline std::string ReadAll(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return std::string("errno ") + strerrorname_np(errno);
  std::string text;
  char buffer[65536];
  ssize_t size;
  while ((size = read(file.get(), buffer, sizeof(buffer))) > 0) text.append(buffer, size);
  if (size < 0) return std::string("errno ") + strerrorname_np(errno);
  return text;
}

}  // namespace secretfs::fs
