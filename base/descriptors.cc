#include "base/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace secretfs {
namespace {

constexpr int kFirst = 3;

std::vector<int> OpenDescriptors() {
  std::vector<int> descriptors;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return descriptors;
  while (const dirent* entry = readdir(folder)) {
    const char* const end = entry->d_name + strlen(entry->d_name);
    int descriptor = -1;
    if (std::from_chars(entry->d_name, end, descriptor).ptr != end) continue;
    if (descriptor >= kFirst && descriptor != dirfd(folder)) descriptors.push_back(descriptor);
  }
  closedir(folder);
  std::sort(descriptors.begin(), descriptors.end());
  return descriptors;
}

std::vector<int> SortedFromFirst(std::span<const int> kept) {
  std::vector<int> sorted;
  for (const int descriptor : kept) {
    if (descriptor >= kFirst) sorted.push_back(descriptor);
  }
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

}  // namespace

std::vector<int> InheritedDescriptors() {
  std::vector<int> descriptors = OpenDescriptors();
  std::erase_if(descriptors, [](int descriptor) {
    const int flags = fcntl(descriptor, F_GETFD);
    return flags < 0 || (flags & FD_CLOEXEC) != 0;
  });
  return descriptors;
}

void CloseDescriptorsExcept(std::span<const int> kept) {
  const std::vector<int> sorted = SortedFromFirst(kept);
  const auto close_range_or_each = [&sorted](unsigned from, unsigned to) {
    if (from > to || close_range(from, to, 0) == 0) return;
    // A container's filter of system calls may not know close_range.
    for (const int descriptor : OpenDescriptors()) {
      if (!std::binary_search(sorted.begin(), sorted.end(), descriptor)) close(descriptor);
    }
  };
  unsigned from = kFirst;
  for (const int descriptor : sorted) {
    close_range_or_each(from, static_cast<unsigned>(descriptor) - 1);
    from = static_cast<unsigned>(descriptor) + 1;
  }
  close_range_or_each(from, std::numeric_limits<unsigned>::max());
}

void CloseInSpawnedExcept(posix_spawn_file_actions_t& actions, std::span<const int> kept) {
  int from = kFirst;
  for (const int descriptor : SortedFromFirst(kept)) {
    for (; from < descriptor; ++from) posix_spawn_file_actions_addclose(&actions, from);
    from = descriptor + 1;
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, from);
}

}  // namespace secretfs
