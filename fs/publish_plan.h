#pragma once

// What has to be done through the kernel after the tree changed, so that readers see the new
// version and watchers hear of it. Made by Operations, carried out by the publisher. A plain value.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/strong_id.h"

namespace secretfs::fs {

// The kernel's node id. Stable for the life of the mount; the root is 1.
using InodeNumber = StrongId<struct InodeNumberTag>;
inline constexpr InodeNumber kRootInode{1};

// Carried out in the order of the members.
struct PublishPlan {
  struct CachedName {
    InodeNumber parent;
    std::string name;
    // The name's path below the mount's root: walking it again is the other way to make the kernel
    // drop an entry, where its directory is locked by a lookup that waits.
    std::string path = {};
  };
  // Kernel entries that point to an old version: FUSE_NOTIFY_INVAL_ENTRY each. ENOENT is normal.
  std::vector<CachedName> stale_names = {};
  // Directories whose attributes or listing changed: FUSE_NOTIFY_INVAL_INODE.
  std::vector<InodeNumber> stale_directories = {};
  // Atomic layout: what `..data` shall point to; done by symlink("..data_tmp") and rename through
  // the mount, which is when the tree switches.
  std::optional<std::string> data_target = {};
  // Paths below the mount's root whose files changed: open for writing, ftruncate to the same size,
  // close, so that watches on the directory and on the new version's inode hear MODIFY,
  // CLOSE_WRITE.
  std::vector<std::string> touched_paths = {};
  // Older versions of changed files that the kernel still knows (an inotify watch pins its inode):
  // the same three calls, through the hidden name HiddenInodeName(inode) below the root.
  std::vector<InodeNumber> touched_inodes = {};
  // Called after all of it, on the publisher's thread. May be null.
  std::function<void()> done = {};
};

// A name below the root that Operations::Lookup resolves to an inode by number, for the publisher
// only.
std::string HiddenInodeName(InodeNumber inode);

class PublishSink {
 public:
  virtual ~PublishSink() = default;
  // Queues `plan`; plans of one mount are carried out in order. Never blocks; any thread.
  virtual void Submit(PublishPlan plan) = 0;
};

}  // namespace secretfs::fs
