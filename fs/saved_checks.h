#pragma once

// What a server believes of the tree that an earlier one left (fs/mount_state.h). The memory was
// written by a process that may have been taken over: it can be anything that decodes. Whoever
// restores it takes only what a server of this mount can have written. Nothing in it leads out of
// the mount (links), to a secret that the manifest does not name (store paths), or to numbers and
// times that the next server could not go on from.
//
// What cannot be told from here is the content of a file: it is compared with what the store gives
// (cache/entry.h, fs/file_slot.h).
//
// Free functions without state.

#include <string>
#include <string_view>

#include "fs/mount_spec.h"
#include "fs/mount_state_format.h"

namespace secretfs::fs {

// The largest number of an inode, file, generation or plan. Larger ones leave no room to count on.
inline constexpr uint64_t kMostNumber = uint64_t{1} << 62;

// Each on its own; what records say of each other is checked where they are put together.
bool IsBelievable(const saved::Tree& tree);
// `manifest`: the mount has a manifest's tree (besides browse trees).
bool IsBelievable(const saved::Inode& inode, const MountSpec& spec, bool manifest);
bool IsBelievable(const saved::Slot& slot, const MountSpec& spec);
bool IsBelievable(const saved::View& view, Layout layout);

// Takes out of a plan what no plan has; it is carried out by the kernel and through the mount.
void DropUnbelievable(PublishPlan& plan);

// `time`, or the end of this century: a later one could not be counted on from.
WallTime Bounded(WallTime time);

// Whether the shown path below a browse tree's root is how `store_path` below the tree's prefix is
// shown: component by component (fs/names.h). "" and "" are the root itself.
bool ShowsStorePath(std::string_view shown, std::string_view store_path);

}  // namespace secretfs::fs
