#pragma once

// Changing a key file in place, and seeing which stores a key opens. One key file may serve several
// stores, so a change touches the lines of one store only, and takes turns with other changes of
// the same file (flock on the file itself). For commands, not for servers.
//
// Thread-safety: one thread at a time for each object; any number of processes on one file.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace secretfs::providers::local {

// The keys of one file, which nobody else changes until the object goes. Move-only.
class KeyFileEdit {
 public:
  // FailedPrecondition if it is no regular file; Unavailable when somebody else changes it for
  // `patience`; errors as for reading a key file.
  static absl::StatusOr<KeyFileEdit> Begin(const std::string& path, Duration patience);

  // In the order of their lines.
  const std::vector<SecretBytes>& keys() const { return keys_; }

  // Puts `fresh` in front of `known`, which stays, as every other line does. FailedPrecondition if
  // `known` is not in the file, or the file has no room.
  absl::Status InsertBefore(const SecretBytes& known, const SecretBytes& fresh);
  // The file's new content, at once and durably. REQUIRES: there is a key; called once.
  absl::Status Write(const std::vector<SecretBytes>& keys);

 private:
  KeyFileEdit(std::string path, UniqueFd fd, std::vector<SecretBytes> keys)
      : path_(std::move(path)), fd_(std::move(fd)), keys_(std::move(keys)) {}

  std::string path_;
  UniqueFd fd_;  // holds the lock
  std::vector<SecretBytes> keys_;
};

// Whether one of `keys` opens the file at `path`; false for what is no store, or cannot be read.
bool OpensStoreFile(const std::vector<SecretBytes>& keys, const std::string& path);

// The store files that can be seen in `folders`, without `store` itself. What lies elsewhere nobody
// can know.
std::vector<std::string> StoreFilesIn(const std::vector<std::string>& folders,
                                      const std::string& store);

}  // namespace secretfs::providers::local
