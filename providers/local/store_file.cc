#include "providers/local/store_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/file_access.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::local {
namespace {

FileIdentity IdentityFrom(const struct stat& status) {
  const auto nanoseconds = [](const timespec& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

// Temporary files of `path` begin with this.
std::string LeftoverPrefix(const std::string& path) { return "." + FileNameOf(path) + ".new-"; }

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// A file that is deleted again unless it was given its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target)
      : path_(FolderOf(target) + "/" + LeftoverPrefix(target) + "XXXXXX") {
    fd_.Reset(mkostemp(path_.data(), O_CLOEXEC));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (fd_.valid() && !renamed_) unlink(path_.c_str());
  }
  bool valid() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  int RenameTo(const std::string& target, Replace replace) {
    const unsigned flags = replace == Replace::kNever ? RENAME_NOREPLACE : 0;
    if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), flags) == 0) {
      renamed_ = true;
      return 0;
    }
    // Some filesystems know no flags; a hard link never replaces either. The destructor drops the
    // temporary name.
    if (errno != EINVAL || replace != Replace::kNever) return errno;
    return link(path_.c_str(), target.c_str()) == 0 ? 0 : errno;
  }

 private:
  std::string path_;
  UniqueFd fd_;
  bool renamed_ = false;
};

std::vector<std::string> AttributesOf(int fd) {
  std::string names(static_cast<size_t>(std::max<ssize_t>(flistxattr(fd, nullptr, 0), 0)), '\0');
  const ssize_t size = flistxattr(fd, names.data(), names.size());
  std::vector<std::string> result;
  for (size_t begin = 0; size > 0 && begin < static_cast<size_t>(size);) {
    result.emplace_back(names.c_str() + begin);
    begin += result.back().size() + 1;
  }
  return result;
}

// The new file has its folder's default access list, which the old one need not have had. What
// cannot be copied for lack of rights (labels of the system's) the system sets itself; an access
// list is the owner's to set, so failing there is an error.
absl::Status CopyAttributes(int from, const std::string& path, int to) {
  constexpr std::string_view kAccessList = "system.posix_acl_access";
  const std::vector<std::string> wanted = AttributesOf(from);
  for (const std::string& name : AttributesOf(to)) {
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) {
      fremovexattr(to, name.c_str());
    }
  }
  for (const std::string& name : wanted) {
    std::vector<char> value(
        static_cast<size_t>(std::max<ssize_t>(fgetxattr(from, name.c_str(), nullptr, 0), 0)));
    const ssize_t size = fgetxattr(from, name.c_str(), value.data(), value.size());
    const bool copied =
        size >= 0 && fsetxattr(to, name.c_str(), value.data(), static_cast<size_t>(size), 0) == 0;
    if (!copied && name == kAccessList) return SystemError("keep the access list of", path, errno);
  }
  return absl::OkStatus();
}

// Makes who may do what with `to` the same as with `from`, which is at `path`.
absl::Status CopyAccess(int from, const std::string& path, int to) {
  struct stat old{};
  if (fstat(from, &old) != 0) return SystemError("look at", path, errno);
  mode_t mode = old.st_mode & 07777;
  // Root writing a user's store leaves it the user's. Others cannot give files away, but to a group
  // that they are in.
  const bool both_kept = fchown(to, old.st_uid, old.st_gid) == 0;
  if (!both_kept && fchown(to, static_cast<uid_t>(-1), old.st_gid) != 0) mode &= ~mode_t{070};
  if (!both_kept && old.st_uid != geteuid() && (mode & 044) == 0) {
    return absl::PermissionDeniedError(
        Format("{0} belongs to user {1}, who could not read it any more if you (user {2}) wrote "
               "it: run the command as that user",
               path, old.st_uid, geteuid()));
  }
  SECRETFS_RETURN_IF_ERROR(CopyAttributes(from, path, to));
  // After the access list, whose mask is the mode's part for the group.
  if (fchmod(to, mode) != 0) return SystemError("set the mode of the new", path, errno);
  return absl::OkStatus();
}

// Lets whoever may write the store take its lock, also when root made it, and also when the command
// that made it fails. As far as possible: a lock that others cannot take still is one. Who may only
// read the store gets no right, because that would be enough to hold the lock for ever.
void ShareLock(const std::string& path, int lock) {
  const UniqueFd store(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat wanted{};
  struct stat has{};
  if (!store.valid() || fstat(store.get(), &wanted) != 0 || fstat(lock, &has) != 0) return;
  const mode_t writers = wanted.st_mode & 022;
  mode_t mode = 0600 | writers | (writers << 1);
  if (wanted.st_uid == has.st_uid && wanted.st_gid == has.st_gid && mode == (has.st_mode & 07777) &&
      AttributesOf(store.get()) == AttributesOf(lock)) {
    return;
  }
  if (fchown(lock, wanted.st_uid, wanted.st_gid) != 0) {
    if (has.st_uid != geteuid()) return;
    if (fchown(lock, static_cast<uid_t>(-1), wanted.st_gid) != 0) mode &= ~mode_t{070};
  }
  if (CopyAttributes(store.get(), path, lock).ok()) fchmod(lock, mode);
}

absl::Status CannotLock(const std::string& path, const std::string& lock_path, int error_number) {
  const absl::Status status = SystemError("open the lock file", lock_path, error_number);
  struct stat lock{};
  if (error_number != EACCES || lstat(lock_path.c_str(), &lock) != 0) return status;
  return absl::PermissionDeniedError(
      Format("{}; it belongs to user {}: run  sudo chown --reference={} {}", MessageOf(status),
             lock.st_uid, path, lock_path));
}

bool SameFile(int fd, const std::string& path) {
  struct stat opened{};
  struct stat named{};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

absl::Status SyncFolder(const std::string& path) {
  const std::string folder = FolderOf(path);
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) return SystemError("sync the folder", folder, errno);
  return absl::OkStatus();
}

absl::Status CheckPrivate(const std::string& path, const struct stat& status) {
  if ((status.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        Format("{} can be read or written by others (mode {:04o}): run  chmod 600 {}", path,
               status.st_mode & 07777, path));
  }
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return absl::PermissionDeniedError(
        Format("{} belongs to user {}, neither to you (user {}) nor to root: run  chown {} {}",
               path, status.st_uid, geteuid(), geteuid(), path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SystemError(std::string_view doing, const std::string& path, int error_number) {
  const absl::StatusCode code = error_number == ENOENT || error_number == ENOTDIR
                                    ? absl::StatusCode::kNotFound
                                    : absl::ErrnoToStatusCode(error_number);
  return absl::Status(
      code, Format("cannot {} {}: {}", doing, path, std::generic_category().message(error_number)));
}

absl::StatusOr<FileIdentity> IdentityOf(const std::string& path) {
  struct stat status{};
  if (StatFile(path, status) != 0) return SystemError("look at", path, errno);
  return IdentityFrom(status);
}

absl::StatusOr<FileIdentity> IdentityOf(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) return SystemError("look at", "the opened file", errno);
  return IdentityFrom(status);
}

std::string ResolveLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> whole(realpath(path.c_str(), nullptr), &free);
  if (whole != nullptr) return whole.get();
  const std::unique_ptr<char, decltype(&free)> folder(realpath(FolderOf(path).c_str(), nullptr),
                                                      &free);
  return folder != nullptr ? std::string(folder.get()) + "/" + FileNameOf(path) : path;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string FileNameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

absl::StatusOr<WriterLock> WriterLock::Acquire(const std::string& path, Duration patience) {
  const std::string lock_path = path + ".lock";
  // Asked again and again rather than waited for: flock cannot be given an end in time.
  constexpr std::chrono::milliseconds kHandedOn(100);
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + patience;
  for (;;) {
    UniqueFd fd(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) {
      // Root may be about to give away the file that it just made.
      const bool just_made =
          errno == EACCES && std::chrono::steady_clock::now() < start + kHandedOn;
      if (!just_made) return CannotLock(path, lock_path, errno);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    ShareLock(path, fd.get());
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      // Somebody may have deleted the file meanwhile: a lock on it would then exclude nobody.
      if (SameFile(fd.get(), lock_path)) return WriterLock(std::move(fd));
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return SystemError("lock", lock_path, errno);
    if (std::chrono::steady_clock::now() >= end) {
      return absl::UnavailableError(
          Format("another process has been writing the store for {} s (it holds {}): try again, or "
                 "find it with  fuser {}",
                 std::chrono::duration_cast<std::chrono::seconds>(patience).count(), lock_path,
                 lock_path));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

absl::Status ReplaceFile(const std::string& path, mode_t mode, Replace replace,
                         const std::function<absl::Status(int)>& write) {
  TemporaryFile file(path);
  if (!file.valid()) return SystemError("make a file in the folder of", path, errno);
  const UniqueFd old(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (old.valid()) {
    SECRETFS_RETURN_IF_ERROR(CopyAccess(old.get(), path, file.fd()));
  } else if (errno != ENOENT && replace == Replace::kExisting) {
    return SystemError("read", path, errno);
  } else if (fchmod(file.fd(), mode) != 0) {
    return SystemError("set the mode of", file.path(), errno);
  }
  SECRETFS_RETURN_IF_ERROR(write(file.fd()));
  if (fsync(file.fd()) != 0) return SystemError("sync", file.path(), errno);
  if (const int error = file.RenameTo(path, replace); error != 0) {
    return SystemError("put the new file in place at", path, error);
  }
  return SyncFolder(path);
}

void RemoveLeftovers(const std::string& path) {
  const std::string folder = FolderOf(path);
  const std::string prefix = LeftoverPrefix(path);
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(folder.c_str()));
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory.get())) {
    if (std::string_view(entry->d_name).starts_with(prefix)) {
      unlinkat(dirfd(directory.get()), entry->d_name, 0);
    }
  }
}

absl::Status WriteFully(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write to", "the new file", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ReadAt(int fd, std::span<std::byte> bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read", "the store", errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t limit, Privacy privacy) {
  const UniqueFd fd = OpenFile(path, O_NOCTTY);
  if (!fd.valid()) return SystemError("read", path, errno);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return SystemError("look at", path, errno);
  if (S_ISDIR(status.st_mode)) return SystemError("read", path, EISDIR);
  if (S_ISREG(status.st_mode) && privacy == Privacy::kOwnerOnly) {
    SECRETFS_RETURN_IF_ERROR(CheckPrivate(path, status));
  }
  SecretBuilder content(limit);
  SecretBytes piece(std::min(limit, size_t{64} << 10) + 1);
  for (;;) {
    const std::span<std::byte> room = piece.mutable_bytes();
    const ssize_t count = read(fd.get(), room.data(), room.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read", path, errno);
    if (count == 0) return content.Finish();
    if (const absl::Status fits = content.Append(room.first(static_cast<size_t>(count)));
        !fits.ok()) {
      return WithContext(fits, path);
    }
  }
}

}  // namespace secretfs::providers::local
