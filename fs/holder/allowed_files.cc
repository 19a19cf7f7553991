#include "fs/holder/allowed_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// As providers/local watches its store.
constexpr uint32_t kWatched = IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_ATTRIB |
                              IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Empty when it leads nowhere.
std::string Resolve(const std::string& path) {
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) != nullptr ? std::string(resolved) : std::string();
}

bool IsBelow(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

// Absolute, and without parts that the comparison with the list would not see through.
bool IsPlain(std::string_view path) {
  if (path.size() < 2 || path.size() >= PATH_MAX || path.front() != '/') return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string ThroughProc(const UniqueFd& file) { return Format("/proc/self/fd/{}", file.get()); }

absl::StatusOr<std::string> RealPath(const UniqueFd& file) {
  char target[PATH_MAX];
  const ssize_t size = readlink(ThroughProc(file).c_str(), target, sizeof(target));
  if (size <= 0 || size == static_cast<ssize_t>(sizeof(target))) {
    return absl::InternalError("cannot learn where an open file is; is /proc mounted?");
  }
  return std::string(target, static_cast<size_t>(size));
}

absl::Status NotListed(const std::string& path) {
  return absl::PermissionDeniedError(
      Format("{} is not among the files that this mount's manifest and flags name", path));
}

absl::Status OpenError(const std::string& path, int error) {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      ToAbsl(Format("cannot open {} ({})", path, strerror(error))));
}

}  // namespace

AllowedFiles::AllowedFiles(const std::vector<std::string>& openable) {
  for (const std::string& listed : openable) {
    Entry entry;
    entry.path = WithoutTrailingSlash(listed);
    if (!IsPlain(entry.path)) continue;
    entry.resolved = Resolve(entry.path);
    entry.folder = Resolve(FolderOf(entry.path));
    struct stat attributes = {};
    entry.is_folder = stat(entry.path.c_str(), &attributes) == 0 && S_ISDIR(attributes.st_mode);
    entries_.push_back(std::move(entry));
  }
}

bool AllowedFiles::Covers(const Entry& entry, const std::string& real) const {
  if (!entry.resolved.empty() && real == entry.resolved) return true;
  if (entry.is_folder) return IsBelow(real, entry.resolved);
  return !entry.folder.empty() && IsBelow(real, entry.folder);
}

absl::StatusOr<UniqueFd> AllowedFiles::OpenCovered(const std::string& path) const {
  std::vector<const Entry*> asked;
  for (const Entry& entry : entries_) {
    if (path == entry.path || (entry.is_folder && FolderOf(path) == entry.path)) {
      asked.push_back(&entry);
    }
  }
  if (!IsPlain(path) || asked.empty()) return NotListed(path);
  // O_PATH does nothing to what it opens, so that looking before is not needed.
  UniqueFd file(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file.valid()) return OpenError(path, errno);
  SECRETFS_ASSIGN_OR_RETURN(const std::string real, RealPath(file));
  for (const Entry* entry : asked) {
    if (Covers(*entry, real)) return file;
  }
  // Links from one listed place to another.
  for (const Entry& entry : entries_) {
    if (real == entry.resolved || (entry.is_folder && IsBelow(real, entry.resolved))) return file;
  }
  return absl::PermissionDeniedError(Format(
      "{} is a link that leads out of the files which this mount's manifest and flags name", path));
}

absl::StatusOr<UniqueFd> AllowedFiles::Open(const std::string& path) const {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueFd found, OpenCovered(path));
  struct stat attributes = {};
  if (fstat(found.get(), &attributes) != 0) return OpenError(path, errno);
  if (!S_ISREG(attributes.st_mode) && !S_ISDIR(attributes.st_mode)) {
    return absl::FailedPreconditionError(Format("{} is neither a file nor a folder", path));
  }
  UniqueFd file(open(ThroughProc(found).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) return OpenError(path, errno);
  return file;
}

absl::StatusOr<WatchedFile> AllowedFiles::Watch(const std::string& path) const {
  std::string real = path;
  const absl::StatusOr<UniqueFd> file = OpenCovered(path);
  if (file.ok()) {
    SECRETFS_ASSIGN_OR_RETURN(real, RealPath(*file));
  } else if (!absl::IsNotFound(file.status())) {
    return file.status();
  }
  const std::string folder_path = FolderOf(real);
  const UniqueFd folder(open(folder_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return OpenError(folder_path, errno);
  WatchedFile watch;
  watch.name = real.substr(real.rfind('/') + 1);
  watch.events = UniqueFd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!watch.events.valid()) return OpenError("an inotify descriptor", errno);
  if (inotify_add_watch(watch.events.get(), ThroughProc(folder).c_str(), kWatched) < 0) {
    return absl::FailedPreconditionError(
        Format("cannot watch {} ({})", folder_path, strerror(errno)));
  }
  return watch;
}

}  // namespace secretfs::fs
