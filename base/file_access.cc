#include "base/file_access.h"

#include <fcntl.h>
#include <sys/inotify.h>

#include <atomic>
#include <cerrno>

namespace secretfs {
namespace {

std::atomic<FileBroker*> broker = nullptr;

// What the system says to somebody without a right: a folder that may not be entered hides whether
// the file is there.
bool IsDenied(int error) { return error == EACCES || error == EPERM; }

// The broker's word as an errno.
UniqueFd Take(absl::StatusOr<UniqueFd> answer, int denied) {
  if (answer.ok()) return *std::move(answer);
  errno = absl::IsNotFound(answer.status()) ? ENOENT : denied;
  return UniqueFd();
}

}  // namespace

void SetFileBroker(FileBroker* next) { broker = next; }

UniqueFd OpenFile(const std::string& path, int flags) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (file.valid() || !IsDenied(errno) || broker == nullptr) return file;
  return Take(broker.load()->OpenFile(path), errno);
}

int StatFile(const std::string& path, struct stat& status) {
  if (stat(path.c_str(), &status) == 0) return 0;
  if (!IsDenied(errno) || broker == nullptr) return -1;
  const UniqueFd file = Take(broker.load()->OpenFile(path), errno);
  return file.valid() ? fstat(file.get(), &status) : -1;
}

UniqueFd WatchFile(const std::string& path, const std::string& folder, uint32_t events) {
  UniqueFd watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const bool watches = watch.valid() && inotify_add_watch(watch.get(), folder.c_str(), events) >= 0;
  if (watches) return watch;
  if (!IsDenied(errno) || broker == nullptr) return UniqueFd();
  return Take(broker.load()->WatchFile(path), errno);
}

}  // namespace secretfs
