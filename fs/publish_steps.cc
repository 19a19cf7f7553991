#include "fs/publish_steps.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "fs/names.h"

namespace secretfs::fs {
namespace {

// Makes the kernel look up `path` again although it remembers it; see publisher.h.
void LookUpAgain(const std::string& path, const PublishTarget& target) {
  target.channel->ArmStaleAnswer(true);
  target.hands->LookUpAgain(path);
  target.channel->ArmStaleAnswer(false);
}

void Touch(const std::string& path, const PublishTarget& target) {
  const int error = target.hands->Touch(path);
  // ENOENT and ESTALE: a later plan has replaced or withdrawn it meanwhile.
  if (error == 0 || error == ENOENT || error == ESTALE) return;
  Log().warn("watchers of {}/{} were not told of its change: {}", target.directory, path,
             strerror(error));
}

void Invalidate(const PublishPlan::CachedName& name, const PublishTarget& target) {
  const int error = target.channel->InvalidateName(name.parent, name.name);
  if (error == 0 || error == ENOENT || error == ENODEV || error == ENOTCONN) return;
  // ENOTEMPTY, EBUSY: a directory in use; its entries time out on their own lookups.
  Log().debug("the kernel keeps the name {} in {}: {}", name.name, target.directory,
              strerror(error));
}

// Names that could not be dropped because something waits in a directory; they are dropped when
// nothing does. The kernel shows nobody the old version by them (see publisher.h), but keeps it.
void ForgetStaleNames(const PublishPlan& plan, bool reached, const PublishTarget& target,
                      std::vector<PublishPlan::CachedName>& later) {
  if (plan.stale_names.empty()) return;
  FuseChannel& channel = *target.channel;
  if (channel.parked() == 0) {
    for (const auto& name : plan.stale_names) Invalidate(name, target);
    return;
  }
  if (channel.InvalidateAllNames() == 0) {
    later.insert(later.end(), plan.stale_names.begin(), plan.stale_names.end());
    return;
  }
  if (reached) {
    for (const std::string& path : plan.touched_paths) LookUpAgain(path, target);
  }
  // Names that no touched path covers were withdrawn: those have to wait for the directory.
  for (const auto& name : plan.stale_names) {
    const auto same_leaf = [&](std::string_view leaf) { return leaf == name.name; };
    const auto covered = std::ranges::count_if(plan.touched_paths, same_leaf, LeafOf);
    const auto stale = std::ranges::count_if(plan.stale_names, same_leaf, [](const auto& other) {
      return std::string_view(other.name);
    });
    if (!reached || covered < stale) {
      Invalidate(name, target);
    } else {
      later.push_back(name);
    }
  }
}

bool SwitchDirectly(const std::string& data_target, const PublishTarget& target) {
  const Caller self{.is_publisher = true};
  Operations& operations = *target.operations;
  Outcome<Entry> link = operations.MakeSymlink(kRootInode, kTemporaryDataLink, data_target, self);
  if (link.error == EEXIST && operations.Unlink(kRootInode, kTemporaryDataLink, self) == 0) {
    link = operations.MakeSymlink(kRootInode, kTemporaryDataLink, data_target, self);
  }
  if (link.error != 0) return false;
  const int error = operations.Rename(kRootInode, kTemporaryDataLink, kRootInode, kDataLink, self);
  operations.Forget(link.value.attributes.inode, 1);
  Invalidate({.parent = kRootInode, .name = std::string(kDataLink)}, target);
  return error == 0;
}

void SwitchData(const std::string& data_target, bool reached, const PublishTarget& target) {
  const int error = reached ? target.hands->SwitchData(data_target) : ENOENT;
  if (error == 0) return;
  const bool switched = SwitchDirectly(data_target, target);
  Log().warn("watchers of {} were not told of a new version ({}){}", target.directory,
             reached ? strerror(error) : "the mount is hidden or gone",
             switched ? "; readers see it" : "; and it could not be shown");
}

}  // namespace

void CarryOut(const PublishPlan& plan, const PublishTarget& target,
              std::vector<PublishPlan::CachedName>& later) {
  const bool touches =
      plan.data_target || !plan.touched_paths.empty() || !plan.touched_inodes.empty();
  const bool reached = touches && target.hands->Reach();
  ForgetStaleNames(plan, reached, target, later);
  for (const InodeNumber directory : plan.stale_directories) {
    target.channel->InvalidateInode(directory);
  }
  if (plan.data_target) SwitchData(*plan.data_target, reached, target);
  if (reached) {
    for (const std::string& path : plan.touched_paths) Touch(path, target);
    for (const InodeNumber inode : plan.touched_inodes) {
      Touch(HiddenInodeName(inode), target);
      // The kernel remembers the hidden name, and with it a version that nobody may want any more.
      later.push_back({.parent = kRootInode, .name = HiddenInodeName(inode)});
    }
  } else if (!plan.touched_paths.empty()) {
    Log().info("watchers in {} were not told of a change: the mount is hidden or gone",
               target.directory);
  }
  target.hands->Release();
  ForgetLater(target, later);
}

void ForgetLater(const PublishTarget& target, std::vector<PublishPlan::CachedName>& later) {
  if (later.empty() || target.channel->parked() != 0) return;
  for (const auto& name : later) Invalidate(name, target);
  later.clear();
}

}  // namespace secretfs::fs
