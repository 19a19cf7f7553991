#pragma once

// Passes on to servers what inotify says about one file each, and nothing about its neighbours:
// the holder watches the folder, because writers replace the file, and a server that heard all of
// it would learn what else happens there.
//
// Not thread-safe: the loop's thread only.

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "fs/holder/poll_loop.h"

namespace secretfs::fs {

// An inotify descriptor (non-blocking) of a folder, and which file in it is meant.
struct WatchedFile {
  UniqueFd events;
  std::string name;
};

class FileWatches {
 public:
  // `loop` outlives it.
  explicit FileWatches(PollLoop& loop) : loop_(loop) {}
  ~FileWatches();
  FileWatches(const FileWatches&) = delete;
  FileWatches& operator=(const FileWatches&) = delete;

  // What the server reads: inotify's events about the file, without its name; the end of the file
  // when the folder has gone. Closing it ends the watch. ResourceExhausted when there are too many.
  absl::StatusOr<UniqueFd> Add(WatchedFile file);

 private:
  struct Watch {
    WatchedFile file;
    UniqueFd server;  // the writing end
  };
  void PassOn(uint64_t number);
  void Remove(uint64_t number);

  PollLoop& loop_;
  std::map<uint64_t, Watch> watches_;
  uint64_t last_number_ = 0;
};

}  // namespace secretfs::fs
