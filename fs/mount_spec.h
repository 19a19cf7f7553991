#pragma once

// What one mount shows: the neutral result of translating any manifest or STORE_URL. Plain values,
// checked by ValidateMountSpec before a mount uses them. Holds no secrets and names no provider:
// stores are ids that the caller got from the cache.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cache/cache.h"
#include "cache/policy.h"
#include "providers/selection/selection.h"

namespace secretfs::fs {

enum class Layout {
  kFlat,    // plain files, re-pointed one by one
  kAtomic,  // Kubernetes' AtomicWriter: name -> ..data/name, ..data -> ..<timestamp>/
};

// One file that a manifest names.
struct FileSpec {
  std::string path;  // relative, '/'-separated, no empty, "." or ".." component
  cache::StoreId store;
  providers::SecretRef ref;
  providers::Selection selection;  // which part of the secret, and how it is written
  std::optional<mode_t> mode;
  cache::Policy policy;
};

// A store's prefix shown as a directory tree.
struct BrowseSpec {
  std::string path;  // where in the mount; "" = its root
  cache::StoreId store;
  std::string prefix;
  cache::Policy policy;
};

struct MountSpec {
  std::vector<FileSpec> files = {};
  std::vector<BrowseSpec> browse = {};
  Layout layout = Layout::kFlat;
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t file_mode = 0400;
  mode_t directory_mode = 0500;
  // Serve OPEN (per-open audit log) even where a mount could do without.
  bool audit_open = false;
  // The publisher is not root: regular files (and the root of an atomic mount) also show the
  // owner's write bit, without which the kernel would not let it signal updates. Everybody but the
  // publisher still gets EROFS.
  bool publisher_needs_write_bit = false;
};

// InvalidArgument naming the first path that is empty, absolute, leaves the mount, has a component
// longer than 255 bytes or starting with ".." (reserved in the atomic layout), stands twice, or is
// both a file and a directory; or a browse tree in the atomic layout.
absl::Status ValidateMountSpec(const MountSpec& spec);

}  // namespace secretfs::fs
