#pragma once

// What the kernel knows of one mount: inode number -> what it stands for, and how many lookups the
// kernel has made of it. Numbers grow and are never used twice, so that a late FORGET or a watch on
// an old version can never meet another file. The part that must outlive a server (number, parent,
// name, version, lookups) is plain data in Inode, apart from the body.
//
// Thread-safety: none; the owner's lock guards it. Knows neither cache nor kernel.
//
// Invariant: an inode is in the table as long as the kernel may name it (lookups > 0) or the tree
// leads to it (references > 0), and not a moment longer.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>

#include "base/clock.h"
#include "base/secret_bytes.h"
#include "fs/publish_plan.h"

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

  size_t size() const { return inodes_.size(); }

 private:
  void EraseIfUnused(Inode& inode);

  uint64_t next_number_ = kRootInode.value();
  std::unordered_map<InodeNumber, Inode> inodes_;
};

}  // namespace secretfs::fs
