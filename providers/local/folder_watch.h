#pragma once

// Tells when a file of one folder was put in place, written or taken away: inotify on the folder,
// because writers replace the file and a watch on the file itself would follow the old one.
//
// Thread-safety: used on the thread of its io_context only. Creating it is enough to lose no event;
// they are queued by the kernel until Next is called.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace secretfs::providers::local {

class FolderWatch {
 public:
  // Watches the folder of `path`, or of the file that it leads to now. Unavailable when that cannot
  // be watched.
  static absl::StatusOr<FolderWatch> Make(asio::io_context& context, const std::string& path);

  enum class Event {
    kNothing,  // something about other files
    kTouched,  // the file may have changed
    kLost,     // events were dropped: anything may have changed
  };
  // Waits for the next event. Cancelled when the coroutine is cancelled; Unavailable when the
  // folder itself was deleted or moved, after which the watch is of no use.
  asio::awaitable<absl::StatusOr<Event>> Next();

 private:
  FolderWatch(asio::posix::stream_descriptor descriptor, std::string folder, std::string name)
      : descriptor_(std::move(descriptor)), folder_(std::move(folder)), name_(std::move(name)) {}
  absl::StatusOr<Event> Digest(const char* events, size_t size) const;

  asio::posix::stream_descriptor descriptor_;
  std::string folder_;
  std::string name_;
};

}  // namespace secretfs::providers::local
