#pragma once

// Opening what a server may not open itself: files and folders that stand on the launch's list, and
// what lies directly in a folder of the list. Everything is opened for reading only.
//
// A link is followed if it leads to something that the list covers too: to a place below a listed
// folder, below the folder of a listed file (..data in a Kubernetes volume), or to where the listed
// path itself led at the start. This is checked on what was opened, so nothing can change in
// between.
//
// Immutable after construction; safe from any thread. Opening may wait for a network file system.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "fs/holder/file_watches.h"

namespace secretfs::fs {

class AllowedFiles {
 public:
  // Entries that do not exist yet may appear later.
  explicit AllowedFiles(const std::vector<std::string>& openable);

  // A regular file or a folder. PermissionDenied when the list does not cover it, NotFound,
  // FailedPrecondition.
  absl::StatusOr<UniqueFd> Open(const std::string& path) const;
  // An inotify descriptor that hears of files which are replaced, rewritten or removed in the
  // folder of `path`, or of the file that it leads to; the file itself may be missing. Errors as
  // Open.
  absl::StatusOr<WatchedFile> Watch(const std::string& path) const;

 private:
  struct Entry {
    std::string path;      // as it was listed
    std::string resolved;  // where it led at the start; empty: nowhere
    std::string folder;    // of `path`, resolved
    bool is_folder = false;
  };
  // O_PATH, checked.
  absl::StatusOr<UniqueFd> OpenCovered(const std::string& path) const;
  bool Covers(const Entry& entry, const std::string& real) const;

  std::vector<Entry> entries_;
};

}  // namespace secretfs::fs
