#pragma once

// What `secretfs status` shows of a mount: plain values, never a secret's bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/cache.h"
#include "fs/mount_spec.h"

namespace secretfs::fs {

struct FileStatus {
  std::string path;
  std::string store;
  std::string key;
  std::string version;
  cache::EntryState state = cache::EntryState::kAbsent;
  std::string error;
  std::optional<WallTime> fetched_at, expires_at, next_refresh_at;
};

// A request of the kernel that has no answer yet.
struct RequestStatus {
  std::string operation;  // "lookup"
  Duration age{0};        // also under earlier servers
};

struct MountStatus {
  std::string directory;
  Layout layout = Layout::kFlat;
  WallTime mounted_at;
  uint64_t generation = 0;  // swaps published so far
  size_t parked_requests = 0;
  uint64_t requests = 0;                 // served by this server
  std::vector<RequestStatus> in_flight;  // the oldest first
  std::vector<FileStatus> files;
};

}  // namespace secretfs::fs
