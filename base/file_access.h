#pragma once

// Reading files that this process may have no right to open: where the system says no, a broker is
// asked, which in a server is the holder with its list of allowed files. Without a broker these are
// the plain system calls. For credentials, stores and certificates, which are named by the
// manifest; never for what a store or a reader names.
//
// Thread-safety: SetFileBroker once, before other threads exist; the rest from any thread. A call
// may wait for the broker.

#include <sys/stat.h>

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs {

class FileBroker {
 public:
  virtual ~FileBroker() = default;
  virtual absl::StatusOr<UniqueFd> OpenFile(const std::string& path) = 0;
  virtual absl::StatusOr<UniqueFd> WatchFile(const std::string& path) = 0;
};

// `broker` outlives every use; null: none.
void SetFileBroker(FileBroker* broker);

// open(2) for reading (O_CLOEXEC is added); invalid with errno set.
UniqueFd OpenFile(const std::string& path, int flags = 0);

// stat(2): 0, or -1 with errno set.
int StatFile(const std::string& path, struct stat& status);

// A non-blocking descriptor of inotify's events about the file `path`, which leads to one in
// `folder`; invalid with errno set. Where this process may watch, these are `events` of all files
// of the folder, by name; from a broker they are about the one file and bear no name.
UniqueFd WatchFile(const std::string& path, const std::string& folder, uint32_t events);

}  // namespace secretfs
