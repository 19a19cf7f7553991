#pragma once

// What a locked section changed in the tree of a mount, for the memory that outlives the server
// (fs/mount_state.h): whoever changes a part of the tree notes it here, and what was noted is
// written in one transaction at the end of the section. A plain list; no value is copied here.
//
// Thread-safety: none; guarded by the lock of the Operations that owns the tree.

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "base/shared_records.h"
#include "fs/publish_plan.h"

namespace secretfs::fs {

struct FileSlot;

struct TreeChanges {
  // False: nothing outlives this server, and nothing is noted.
  bool wanted = false;

  std::vector<InodeNumber> inodes;  // made or changed; may be gone again
  std::vector<std::shared_ptr<FileSlot>> slots;
  std::set<uint64_t> views;
  std::vector<RecordId> erased;
  std::vector<InodeNumber> ended_files;  // whose content need not be kept any more
  // Of the tree as a whole: its numbers, links and times.
  bool tree = false;

  bool empty() const {
    return inodes.empty() && slots.empty() && views.empty() && erased.empty() &&
           ended_files.empty() && !tree;
  }
};

}  // namespace secretfs::fs
