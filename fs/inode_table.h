#pragma once

// What the kernel knows of one mount: inode number -> what it stands for, and how many lookups the
// kernel has made of it. Numbers grow and are never used twice, so that a late FORGET or a watch on
// an old version can never meet another file.
//
// The table outlives the server (fs/mount_state.h): lookups are counted in shared memory at once,
// everything else is noted in changes(), and written by whoever holds the lock before he lets go.
// References are not written; the tree, when it is restored, counts them anew.
//
// Thread-safety: none; the owner's lock guards it. Knows neither cache nor kernel.
//
// Invariant: an inode is in the table as long as the kernel may name it (lookups > 0) or the tree
// leads to it (references > 0), and not a moment longer.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/secret_bytes.h"
#include "fs/publish_plan.h"
#include "fs/tree_changes.h"

namespace secretfs::fs {

struct FileSlot;
struct BrowseDirectory;

// A directory of the manifest's tree: in flat layout the only one of its path, in atomic layout the
// one of one generation.
struct ViewDirectory {
  uint64_t view = 0;
  size_t directory = 0;  // in the skeleton
  WallTime modified;
};

struct Symlink {
  std::string target;
  WallTime modified;
};

// One version of one file. Nothing in it changes once `bytes` is set; a browsed file that nobody
// opened yet has none.
struct FileVersion {
  std::shared_ptr<FileSlot> slot;
  std::shared_ptr<const SecretBytes> bytes;
  WallTime modified;
  WallTime fetched;
  // Whether the kernel was told the true size (it was not while `bytes` was null).
  bool size_told = false;
  // The content had this size, but did not outlive the server that fetched it: `bytes` is null
  // until the store gives the same version again.
  std::optional<uint64_t> lost_size = {};
  // The content is among the kept values, or did not fit there.
  bool kept = false;

  // Whether size and mtime are those of a content.
  bool settled() const { return bytes != nullptr || lost_size.has_value(); }
};

using InodeBody =
    std::variant<ViewDirectory, Symlink, FileVersion, std::shared_ptr<BrowseDirectory>>;

struct Inode {
  InodeNumber number;
  InodeNumber parent;   // where it was made; 0 for the root
  std::string name;     // in `parent`
  std::string version;  // of the secret, for a file
  uint64_t lookups = 0;
  uint32_t references = 0;  // from the tree
  InodeBody body;

  // In the memory that outlives the server; not set before the first time it is written.
  std::optional<RecordId> record;
  std::atomic<uint64_t>* counter = nullptr;  // of `record`: `lookups` once more
  bool noted = false;                        // stands in changes()

  void SetLookups(uint64_t count) {
    lookups = count;
    if (counter != nullptr) counter->store(count, std::memory_order_release);
  }
};

class InodeTable {
 public:
  InodeTable();
  ~InodeTable();
  InodeTable(const InodeTable&) = delete;
  InodeTable& operator=(const InodeTable&) = delete;

  // The first inode made is the root. The new one has one reference and no lookup.
  Inode& Add(InodeNumber parent, std::string name, InodeBody body);
  // Null when there is none (any more). Valid until the inode leaves the table.
  Inode* Find(InodeNumber number);
  const Inode* Find(InodeNumber number) const;

  void AddReference(InodeNumber number);
  // May remove the inode. Unknown numbers are ignored by both.
  void DropReference(InodeNumber number);
  // Takes back up to `count` lookups. True when the kernel knows the inode no longer; the inode may
  // be gone from the table then.
  bool Forget(InodeNumber number, uint64_t count);

  // Everything that was changed since the last time somebody emptied the list. What the members of
  // an inode or a slot say is written only if it is noted.
  TreeChanges& changes() { return changes_; }
  void Note(Inode& inode);
  void Note(InodeNumber number);
  void NoteSlot(const std::shared_ptr<FileSlot>& slot);

  // An inode of an earlier server, with its number, lookups and record, without references. False
  // when there is one with that number.
  bool Restore(Inode inode);
  // Numbers below are not given any more.
  void ReserveBelow(uint64_t number) { next_number_ = std::max(next_number_, number); }
  uint64_t next_number() const { return next_number_; }
  // Removes what nobody knows and nothing leads to.
  void RemoveUnused();
  std::vector<InodeNumber> Numbers() const;  // in ascending order

  size_t size() const { return inodes_.size(); }

 private:
  void EraseIfUnused(Inode& inode);

  TreeChanges changes_;
  uint64_t next_number_ = kRootInode.value();
  std::unordered_map<InodeNumber, Inode> inodes_;
};

}  // namespace secretfs::fs
