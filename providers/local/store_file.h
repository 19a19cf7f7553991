#pragma once

// What the local store needs of the filesystem: a lock for writers, replacing a file so that a
// crash at any moment leaves the old or the new content, and reading small secret files with a look
// at who else may read them. Knows nothing of the store's format. Safe to use from any thread.

#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace secretfs::providers::local {

// Tells two contents of one path apart without reading them. A writer's rename makes a new inode;
// the times catch a file that somebody overwrote in place.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified_nanoseconds = 0;
  int64_t changed_nanoseconds = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// NotFound or PermissionDenied as the system says.
absl::StatusOr<FileIdentity> IdentityOf(const std::string& path);
absl::StatusOr<FileIdentity> IdentityOf(int fd);

// `path` with symbolic links followed as far as it exists, so that replacing it replaces the file
// and not the link. A file that does not exist yet keeps its name.
std::string ResolveLinks(const std::string& path);

// Folder ("." if none) and last component.
std::string FolderOf(const std::string& path);
std::string FileNameOf(const std::string& path);

// Writers of one store, one at a time: an exclusive flock on PATH.lock, which stays behind empty.
// Ends with the object, and with the process however it ends. Move-only.
//
// Who may write the store may take its lock, whoever made the file: it has the store's owner,
// group, mode and access list, as far as the process may give them.
class WriterLock {
 public:
  // Unavailable when somebody else holds the lock for `patience`.
  static absl::StatusOr<WriterLock> Acquire(const std::string& path, Duration patience);

 private:
  explicit WriterLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Whether ReplaceFile may put a file over another.
enum class Replace { kExisting, kNever };

// Makes the file at `path` hold what `write` writes to its descriptor: a temporary file beside it,
// fsync, rename, fsync of the folder. Owner, group, mode, access list and other extended attributes
// of a file that was there are kept, a new one gets `mode`. On error the old file is as it was.
// PermissionDenied where the owner of the old file could not read the new one, because this process
// may not give files away. With kNever: AlreadyExists if there is one.
// REQUIRES: the caller holds the WriterLock of `path`, or nobody else writes it.
absl::Status ReplaceFile(const std::string& path, mode_t mode, Replace replace,
                         const std::function<absl::Status(int)>& write);

// Deletes what killed writers of `path` left behind. REQUIRES: as ReplaceFile.
void RemoveLeftovers(const std::string& path);

// All of `bytes` to `fd`.
absl::Status WriteFully(int fd, std::span<const std::byte> bytes);
// Up to bytes.size() bytes from `offset`: fewer only at the end of the file.
absl::StatusOr<size_t> ReadAt(int fd, std::span<std::byte> bytes, uint64_t offset);

enum class Privacy {
  kOwnerOnly,  // a regular file must belong to us or root and be closed to group and others
  kAny,        // somebody else sees to it (systemd's credential folder), or it is no secret
};

// The content of a secret file of at most `limit` bytes, or of a pipe (from a shell's <(…)).
// PermissionDenied, with the command to run, for a file that is not private enough.
absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t limit, Privacy privacy);

// PermissionDenied, NotFound… for `error_number`: "cannot DO PATH: REASON".
absl::Status SystemError(std::string_view doing, const std::string& path, int error_number);

}  // namespace secretfs::providers::local
