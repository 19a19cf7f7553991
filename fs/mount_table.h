#pragma once

// What the kernel says is mounted where: reads /proc/self/mountinfo and asks the kernel for device
// numbers, in ways that never wait for the filesystem mounted there (a dead or hanging FUSE mount).
// Free functions without state; safe from any thread.

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace secretfs::fs {

struct MountTableEntry {
  std::string type;    // "fuse.secretfs"
  std::string source;  // the first column of mount(8)
  dev_t device_number = 0;
};

// The mounts at `directory` (absolute, canonical), the one on top last.
std::vector<MountTableEntry> MountsAt(std::string_view directory);

// The same, from the text of a mountinfo file.
std::vector<MountTableEntry> MountsAtIn(std::string_view mountinfo, std::string_view directory);

// st_dev of what `path` leads to, without any request to the filesystem it belongs to.
std::optional<dev_t> DeviceNumberOf(const std::string& path);
// The same for an open descriptor (O_PATH is enough).
std::optional<dev_t> DeviceNumberOf(int descriptor);

}  // namespace secretfs::fs
