#pragma once

// One file of a mount through all of its versions: which part of which secret it shows, where its
// name stands, and which inode is its newest version. UpdateFile turns what the cache knows into a
// new version, if the file's own bytes changed.
//
// Thread-safety: none; the owner's lock guards slots and table. Does not publish: what a change
// means for the kernel is the business of publish_changes.h and manifest_tree.h.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/cache.h"
#include "fs/inode_table.h"
#include "providers/selection/selection.h"

namespace secretfs::fs {

// Browse trees: the value as the store has it, or one field of a structured secret.
struct WholeValue {};
struct FieldValue {
  std::string field;
};
using ContentSource = std::variant<WholeValue, FieldValue, providers::Selection>;

// The file's bytes within `secret`; shares memory with it where nothing is selected or decoded.
absl::StatusOr<std::shared_ptr<const SecretBytes>> ExtractContent(
    const ContentSource& source, const providers::SecretPtr& secret);

struct FileSlot {
  // `manifest_index` of a file that the manifest named when an earlier server served the mount, but
  // does not name any more: its versions stay readable until they are forgotten.
  static constexpr size_t kNoLongerNamed = SIZE_MAX;

  uint64_t id = 0;  // within the mount, also across servers
  cache::EntryKey key;
  ContentSource source;
  std::string path;    // as shown, below the mount's root
  std::string name;    // the last component of it
  InodeNumber parent;  // the directory with the name; 0 in the atomic layout, which has many
  mode_t mode = 0;
  std::optional<size_t> manifest_index;  // in MountSpec::files; not set for a browsed file
  size_t browse_tree = 0;                // otherwise: in MountSpec::browse

  // The newest version, which holds one reference of its inode; 0 while there is none.
  InodeNumber current;
  // Every version that is in the inode table, oldest first, `current` included.
  std::vector<InodeNumber> versions;
  // Browsed files: plans under way that lead the publisher to the newest version, which the kernel
  // may not have looked up yet. The slot stays until they are carried out. (The plans outlive the
  // server, not this number.)
  size_t unpublished = 0;
  // mtime moves forward with every version, also across a withdrawal.
  WallTime last_modified;
  bool had_version = false;
  // Why the last fetched secret gave no content.
  absl::Status error;

  // In the memory that outlives the server: a file of the manifest always stands there, a browsed
  // one as long as it has versions. See TreeChanges.
  std::optional<RecordId> record;
  bool noted = false;
};

struct FileChange {
  std::shared_ptr<FileSlot> slot;
  InodeNumber before;  // 0: there was none
  InodeNumber after;   // 0: withdrawn
  bool first = false;  // the file's first content in this mount: nobody can have seen another
};

// Brings the file to what `snapshot` holds: a new version when its bytes changed, none when the
// secret was withdrawn. A change takes the reference of `before` along: the caller drops it once
// nothing leads there any more. Nothing is returned when readers see what they saw before.
std::optional<FileChange> UpdateFile(InodeTable& table, const std::shared_ptr<FileSlot>& slot,
                                     const cache::EntrySnapshot& snapshot, WallTime now);

// Gives `inode`, a version whose content was lost, its content back, if `secret` is that version.
// `content` is the file's part of it.
bool Reattach(InodeTable& table, Inode& inode, const providers::Secret& secret,
              const std::shared_ptr<const SecretBytes>& content);

// Versions of the file before the newest that the kernel still knows.
std::vector<InodeNumber> OlderKnownVersions(const InodeTable& table, const FileSlot& slot);

}  // namespace secretfs::fs
