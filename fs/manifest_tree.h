#pragma once

// The part of a mount that the manifest names, in either layout.
//
// The manifest's paths make one skeleton of directories and files. A view is the skeleton with an
// inode for each directory and the version that each file shows. The flat layout has one view, for
// ever, whose root is the mount's root; its names are re-pointed one by one. In the atomic layout
// each view is a generation below the mount's root: changes that arrive together make a new view,
// in which unchanged files keep their inode, and `..data` moves to it at once.
//
// Life of a generation, in the order of its number: pending (made; the publisher is on its way) ->
// current (`..data` leads here) -> previous (still has its name, for readers on their way) ->
// nameless (readable as long as the kernel knows one of its directories) -> freed.
//
// Thread-safety: none; the owner's lock guards it, together with the inode table. Fetches nothing
// and talks to nobody.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/file_slot.h"
#include "fs/inode_table.h"
#include "fs/mount_spec.h"
#include "fs/mount_state.h"
#include "fs/operations.h"
#include "fs/publish_plan.h"

namespace secretfs::fs {

class ManifestTree {
 public:
  // What a name in a directory is.
  struct Child {
    enum class Kind {
      kNone,         // no such name
      kInode,        // `inode`
      kAbsent,       // `slot`, which has no version yet: to be fetched
      kWaitForSwap,  // a newer generation is about to take over; look again after it did
      kStale,        // the generation is over: the path has to be walked again
    };
    Kind kind = Kind::kNone;
    InodeNumber inode;
    std::shared_ptr<FileSlot> slot;
  };

  // What became of names when `..data` moved.
  struct Swap {
    bool happened = false;
    std::vector<std::string> dropped_names;  // in the mount's root
  };

  // Makes the slots; their ids are their numbers in the manifest. REQUIRES: `table` outlives this,
  // and one of the next two is called at once.
  ManifestTree(const MountSpec& spec, InodeTable& table);
  // Makes the root inode and all that needs no value. REQUIRES: the table is empty.
  void Start(WallTime now);
  // Puts together what an earlier server left. REQUIRES: it was served in this layout, the table
  // holds the saved inodes, and the slots are as they were; `slot_at` tells which slot of this tree
  // a saved id means (null: none).
  void Restore(const SavedTree& saved, WallTime now,
               const std::function<const FileSlot*(uint64_t)>& slot_at);

  const std::vector<std::shared_ptr<FileSlot>>& slots() const { return slots_; }
  // Null if the manifest does not name it.
  std::shared_ptr<FileSlot> FindSlot(std::string_view path) const;
  // The body of a saved inode; one that leads nowhere if the manifest does not name the directory.
  ViewDirectory BodyOf(const saved::ViewInode& inode) const;

  // Lets the browse tree `inode` appear at `path`, whose directory exists already.
  void AddBrowseRoot(const std::string& path, InodeNumber inode);
  // The directory that shall hold the last component of `path` (flat layout).
  InodeNumber ParentOf(const std::string& path);

  // REQUIRES: directory.body is a ViewDirectory, for both.
  Child Find(const Inode& directory, std::string_view name) const;
  std::vector<DirectoryEntry> List(const Inode& directory) const;

  // True once for each generation: now is the time to fetch the whole set.
  bool ClaimPrefetch(const Inode& directory);

  // Lets the tree show `changes` of manifest files (each one's `before` reference is dropped) and
  // adds to `plan` what the kernel has to be told. In the atomic layout a change that somebody may
  // have seen makes a new generation, and its number is returned; otherwise 0.
  uint64_t Publish(const std::vector<FileChange>& changes, WallTime now, PublishPlan& plan);

  // Atomic layout: the publisher's two steps. The link is a new inode with a reference of the tree.
  // The same once more, as long as the link stands: the answer did not reach the kernel.
  Outcome<InodeNumber> MakeTemporaryLink(std::string_view target, WallTime now);
  int RemoveTemporaryLink();
  // Moves `..data`. EINVAL unless the temporary link names a generation newer than the current, or
  // the current one when `again`: the publisher is not known to have finished with it, so that
  // watchers may hear of it twice. Then the rename may also have been done already.
  int RenameTemporaryLink(bool again, WallTime now, Swap& swap);
  // The same without the publisher, unless `generation` is current or over already.
  Swap ForceSwap(uint64_t generation, WallTime now);

  // The kernel has forgotten the directory.
  void OnForgotten(uint64_t view);

  // For the memory that outlives the server.
  void Save(saved::Tree& tree) const;
  // Nothing: the view is gone. `record` is where the view stands, or will.
  std::optional<saved::View> SaveView(uint64_t view, std::optional<RecordId>*& record);
  const std::string& PathOf(const ViewDirectory& directory) const {
    return skeleton_[directory.directory].path;
  }

  uint64_t current() const { return current_; }
  uint64_t newest() const { return newest_; }
  bool has_temporary_link() const { return temporary_link_ != InodeNumber(); }
  // What leads from the current generation to the newest.
  PublishPlan PlanOfPendingSwap() const;
  // The number of the generation with that name, if it is not older than the current; 0: none.
  uint64_t GenerationOf(std::string_view name) const;

  // Whether a newer generation is on its way.
  bool is_swap_pending() const { return newest_ != current_; }
  uint64_t swaps() const { return swaps_; }
  WallTime root_modified() const { return root_modified_; }

 private:
  struct SkeletonDirectory {
    std::string path;
    std::map<std::string, size_t, std::less<>> directories;
    std::map<std::string, size_t, std::less<>> files;  // index of slots_
    std::map<std::string, InodeNumber, std::less<>> browse;
  };
  // Holds a reference of each of its inodes.
  struct View {
    std::string name;                      // empty once it is dropped, and in the flat layout
    std::vector<InodeNumber> directories;  // by skeleton directory
    std::vector<InodeNumber> files;        // by slot; 0: none. Unused in the flat layout
    bool prefetch_claimed = false;
    std::optional<RecordId> record;
  };

  bool atomic() const { return layout_ == Layout::kAtomic; }
  bool IsAtomicRoot(const Inode& directory) const {
    return atomic() && directory.number == kRootInode;
  }
  size_t SkeletonDirectoryOf(std::string_view path);
  void BuildSkeleton(const MountSpec& spec);
  std::optional<size_t> FindSkeletonDirectory(std::string_view path) const;
  uint64_t AddView(std::string name, InodeNumber root, WallTime now);
  InodeNumber AddViewDirectory(const View& view, uint64_t number, size_t index, WallTime now);
  InodeNumber AddLink(std::string_view name, std::string target, WallTime now);
  void SetParents();
  void NoteView(uint64_t view);
  void NoteTree();
  void RestoreView(const SavedTree::Kept<saved::View>& saved, WallTime now,
                   const std::function<const FileSlot*(uint64_t)>& slot_at);
  void RestoreLinks(const SavedTree& saved, WallTime now);
  std::string NextGenerationName(WallTime now);
  Child FindInAtomicRoot(std::string_view name) const;
  std::vector<DirectoryEntry> ListAtomicRoot() const;
  Child FindFile(uint64_t view, size_t slot) const;
  uint64_t NewGeneration(const std::vector<FileChange>& changes, WallTime now, PublishPlan& plan);
  Swap SwitchTo(uint64_t generation, InodeNumber link, WallTime now);
  void FreeIfUnused(uint64_t view);

  const Layout layout_;
  InodeTable& table_;
  std::vector<SkeletonDirectory> skeleton_;
  std::vector<std::shared_ptr<FileSlot>> slots_;

  std::map<uint64_t, View> views_;  // flat: only kFlatView
  uint64_t last_view_ = 0;          // that was ever made
  uint64_t newest_ = 0;
  uint64_t current_ = 0;
  std::map<std::string, InodeNumber, std::less<>> links_;  // atomic root: NAME -> ..data/NAME
  InodeNumber data_link_;
  InodeNumber temporary_link_;  // 0: none
  WallTime last_generation_time_;
  WallTime root_modified_;
  uint64_t swaps_ = 0;
};

// Adds to `plan` what the kernel has to hear of a change of one name in one directory.
// `change.slot` has a parent.
void AddFlatChange(const InodeTable& table, const FileChange& change, PublishPlan& plan);

}  // namespace secretfs::fs
