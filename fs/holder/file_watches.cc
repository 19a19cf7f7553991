#include "fs/holder/file_watches.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace secretfs::fs {
namespace {

// A store each, for the current server and for the next one.
constexpr size_t kMostWatches = 256;
constexpr uint32_t kFolderHasGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

}  // namespace

FileWatches::~FileWatches() {
  while (!watches_.empty()) Remove(watches_.begin()->first);
}

absl::StatusOr<UniqueFd> FileWatches::Add(WatchedFile file) {
  int ends[2];
  if (watches_.size() >= kMostWatches || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ResourceExhaustedError("too many files are watched");
  }
  UniqueFd reading(ends[0]);
  const uint64_t number = ++last_number_;
  Watch& watch = watches_[number];
  watch.file = std::move(file);
  watch.server = UniqueFd(ends[1]);
  loop_.Watch(watch.file.events.get(), POLLIN, [this, number](short) { PassOn(number); });
  // Only errors: the server has closed its end.
  loop_.Watch(watch.server.get(), 0, [this, number](short) { Remove(number); });
  return reading;
}

void FileWatches::PassOn(uint64_t number) {
  const auto entry = watches_.find(number);
  if (entry == watches_.end()) return;
  Watch& watch = entry->second;
  alignas(inotify_event) char events[8192];
  const ssize_t size = read(watch.file.events.get(), events, sizeof(events));
  if (size <= 0) return;
  bool is_over = false;
  for (size_t offset = 0; offset + sizeof(inotify_event) <= static_cast<size_t>(size);) {
    inotify_event event = {};
    memcpy(&event, events + offset, sizeof(event));
    const char* name = events + offset + sizeof(event);
    const bool is_the_file = std::string_view(name, strnlen(name, event.len)) == watch.file.name;
    offset += sizeof(event) + event.len;
    is_over = is_over || (event.mask & kFolderHasGone) != 0;
    if (!is_the_file && (event.mask & (kFolderHasGone | IN_Q_OVERFLOW)) == 0) continue;
    event.len = 0;
    // All events are of this one size. When the pipe is full, the server has enough to hear of.
    [[maybe_unused]] const ssize_t count = write(watch.server.get(), &event, sizeof(event));
  }
  if (is_over) Remove(number);
}

void FileWatches::Remove(uint64_t number) {
  const auto entry = watches_.find(number);
  if (entry == watches_.end()) return;
  loop_.Forget(entry->second.file.events.get());
  loop_.Forget(entry->second.server.get());
  watches_.erase(entry);
}

}  // namespace secretfs::fs
