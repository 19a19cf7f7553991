#include "fs/publish_steps.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"
#include "fs/mount_table.h"

namespace secretfs::fs {
namespace {

constexpr char kDataLink[] = "..data";
constexpr char kTemporaryLink[] = "..data_tmp";

std::string_view LeafOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The mount's root, for a moment only: whoever holds it makes umount fail with EBUSY. Invalid if
// the path leads elsewhere.
UniqueFd OpenRoot(const PublishTarget& target) {
  UniqueFd root(open(target.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.valid() && DeviceNumberOf(root.get()) == target.device_number) return root;
  return UniqueFd();
}

// Opens `path` below `root` without leaving the mount, whatever is mounted or linked inside.
UniqueFd OpenBelow(int root, const std::string& path, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV;
  const int file = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
  if (file >= 0 || errno != ENOSYS) return UniqueFd(file);
  return UniqueFd(openat(root, path.c_str(), flags | O_CLOEXEC));  // Linux before 5.6
}

// Watchers of the file get MODIFY and CLOSE_WRITE; nothing changes. Links inside the mount are
// followed: in the atomic layout every path begins with one.
void Touch(int root, const std::string& path, const PublishTarget& target) {
  const UniqueFd file = OpenBelow(root, path, O_WRONLY | O_NONBLOCK);
  struct stat attributes = {};
  if (file.valid() && fstat(file.get(), &attributes) == 0) {
    if (attributes.st_dev != target.device_number) return;  // something is mounted over it
    if (ftruncate(file.get(), attributes.st_size) == 0) return;
  }
  // ENOENT and ESTALE: a later plan has replaced or withdrawn it meanwhile.
  if (errno == ENOENT || errno == ESTALE) return;
  Log().warn("watchers of {}/{} were not told of its change: {}", target.directory, path,
             strerror(errno));
}

// Makes the kernel look up `path` again although it remembers it; see publisher.h.
void LookUpAgain(int root, const std::string& path, FuseChannel& channel) {
  channel.ArmStaleAnswer(true);
  struct statx attributes = {};
  statx(root, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_SIZE, &attributes);
  channel.ArmStaleAnswer(false);
}

void Invalidate(const PublishPlan::CachedName& name, const PublishTarget& target) {
  const int error = target.channel->InvalidateName(name.parent, name.name);
  if (error == 0 || error == ENOENT || error == ENODEV || error == ENOTCONN) return;
  // ENOTEMPTY, EBUSY: a directory in use; its entries time out on their own lookups.
  Log().debug("the kernel keeps the name {} in {}: {}", name.name, target.directory,
              strerror(error));
}

void ForgetStaleNames(const PublishPlan& plan, int root, const PublishTarget& target) {
  if (plan.stale_names.empty()) return;
  FuseChannel& channel = *target.channel;
  if (channel.parked() == 0) {
    for (const auto& name : plan.stale_names) Invalidate(name, target);
    return;
  }
  if (channel.InvalidateAllNames() == 0) return;
  if (root >= 0) {
    for (const std::string& path : plan.touched_paths) LookUpAgain(root, path, channel);
  }
  // Names that no touched path covers were withdrawn: those have to wait for the directory.
  for (const auto& name : plan.stale_names) {
    const auto same_leaf = [&](std::string_view leaf) { return leaf == name.name; };
    const auto covered = std::ranges::count_if(plan.touched_paths, same_leaf, LeafOf);
    const auto stale = std::ranges::count_if(plan.stale_names, same_leaf, [](const auto& other) {
      return std::string_view(other.name);
    });
    if (root < 0 || covered < stale) Invalidate(name, target);
  }
}

bool SwitchThroughMount(int root, const std::string& data_target) {
  if (symlinkat(data_target.c_str(), root, kTemporaryLink) != 0) {
    // Left by a predecessor that died in between.
    if (errno != EEXIST || unlinkat(root, kTemporaryLink, 0) != 0 ||
        symlinkat(data_target.c_str(), root, kTemporaryLink) != 0) {
      return false;
    }
  }
  return renameat(root, kTemporaryLink, root, kDataLink) == 0;
}

bool SwitchDirectly(const std::string& data_target, const PublishTarget& target) {
  const Caller self{.is_publisher = true};
  Operations& operations = *target.operations;
  Outcome<Entry> link = operations.MakeSymlink(kRootInode, kTemporaryLink, data_target, self);
  if (link.error == EEXIST && operations.Unlink(kRootInode, kTemporaryLink, self) == 0) {
    link = operations.MakeSymlink(kRootInode, kTemporaryLink, data_target, self);
  }
  if (link.error != 0) return false;
  const int error = operations.Rename(kRootInode, kTemporaryLink, kRootInode, kDataLink, self);
  operations.Forget(link.value.attributes.inode, 1);
  Invalidate({.parent = kRootInode, .name = kDataLink}, target);
  return error == 0;
}

void SwitchData(const std::string& data_target, int root, const PublishTarget& target) {
  if (root >= 0 && SwitchThroughMount(root, data_target)) return;
  const int error = root >= 0 ? errno : ENOENT;
  const bool switched = SwitchDirectly(data_target, target);
  Log().warn("watchers of {} were not told of a new version ({}){}", target.directory,
             root >= 0 ? strerror(error) : "the mount is hidden or gone",
             switched ? "; readers see it" : "; and it could not be shown");
}

}  // namespace

void CarryOut(const PublishPlan& plan, const PublishTarget& target,
              std::vector<InodeNumber>& hidden) {
  const bool touches =
      plan.data_target || !plan.touched_paths.empty() || !plan.touched_inodes.empty();
  const UniqueFd root = touches ? OpenRoot(target) : UniqueFd();
  ForgetStaleNames(plan, root.get(), target);
  for (const InodeNumber directory : plan.stale_directories) {
    target.channel->InvalidateInode(directory);
  }
  if (plan.data_target) SwitchData(*plan.data_target, root.get(), target);
  if (root.valid()) {
    for (const std::string& path : plan.touched_paths) Touch(root.get(), path, target);
    for (const InodeNumber inode : plan.touched_inodes) {
      Touch(root.get(), HiddenInodeName(inode), target);
      hidden.push_back(inode);
    }
  } else if (!plan.touched_paths.empty()) {
    Log().info("watchers in {} were not told of a change: the mount is hidden or gone",
               target.directory);
  }
  // The kernel remembers the hidden names, and with them versions that nobody may want any more. To
  // forget them takes the root's lock: see ForgetStaleNames.
  if (target.channel->parked() != 0) return;
  for (const InodeNumber inode : hidden) {
    Invalidate({.parent = kRootInode, .name = HiddenInodeName(inode)}, target);
  }
  hidden.clear();
}

}  // namespace secretfs::fs
