#pragma once

// A directory of a browse tree: a prefix of the store, a structured secret, or both. What is known
// of it grows as it is looked at; nothing here was read from the store before somebody asked.
//
// Thread-safety: none; guarded by the lock of the Operations that owns the inode.

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "fs/browse_names.h"
#include "fs/file_slot.h"

namespace secretfs::fs {

enum class Fact { kUnknown, kNo, kYes };

struct BrowseDirectory {
  // A name that the kernel was told of: exactly one of the two is set.
  struct Child {
    InodeNumber directory;
    std::shared_ptr<FileSlot> file;
  };

  size_t tree = 0;         // in MountSpec::browse
  std::string path;        // as shown, below the mount's root; "" for the root
  std::string store_path;  // "" is the whole store
  bool is_root = false;    // of its tree: the tree itself leads to it, not its parent's children
  WallTime modified;

  // What the listing of the parent said, or what was found out; `kNo` of a prefix is believed for
  // one TTL after `facts_at`.
  Fact is_prefix = Fact::kUnknown;
  Fact is_secret = Fact::kUnknown;
  MonotonicTime facts_at;

  // What the last successful list said, and when; null before. Kept while later ones fail.
  std::shared_ptr<const NameTable> listed;
  MonotonicTime listed_at;
  // The store contradicted the listing: it is made anew for the next who needs it.
  bool relist = false;
  // The last list was denied; it is tried again after this.
  std::optional<MonotonicTime> list_denied_until;
  // The fields of the secret, from its newest version; null unless known.
  std::shared_ptr<const NameTable> fields;

  std::unordered_map<std::string, Child> children;

  cache::EntryKey key(cache::StoreId store) const {
    return {.store = store, .ref = {.key = store_path, .version = {}}};
  }
};

}  // namespace secretfs::fs
