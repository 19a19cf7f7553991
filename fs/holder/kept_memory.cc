#include "fs/holder/kept_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/kept_values.h"
#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// What the holder locks besides.
constexpr size_t kReserve = 64 << 10;
constexpr size_t kLeast = 64 << 10;

size_t WithinLimit(size_t bytes, size_t locked_besides) {
  rlimit limit = {};
  if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return bytes;
  }
  const size_t reserve = kReserve + locked_besides;
  const size_t allowed = limit.rlim_cur > reserve ? limit.rlim_cur - reserve : 0;
  return std::min(bytes, allowed);
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeptMemory>> KeptMemory::Make(size_t bytes, size_t locked_besides) {
  const size_t allowed = WithinLimit(bytes, locked_besides);
  if (allowed < kLeast) {
    return absl::ResourceExhaustedError(
        Format("RLIMIT_MEMLOCK leaves {} bytes to keep secret values in", allowed));
  }
  UniqueFd memory;
  {
    SECRETFS_ASSIGN_OR_RETURN(const std::unique_ptr<KeptValues> values,
                              KeptValues::Create(allowed));
    memory = UniqueFd(fcntl(values->memory(), F_DUPFD_CLOEXEC, 3));
  }
  struct stat attributes = {};
  if (!memory.valid() || fstat(memory.get(), &attributes) != 0) {
    return absl::ResourceExhaustedError(Format("cannot keep memory ({})", strerror(errno)));
  }
  const auto size = static_cast<size_t>(attributes.st_size);
  void* map = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (map == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        Format("cannot map {} bytes for secret values ({})", size, strerror(errno)));
  }
  madvise(map, size, MADV_DONTDUMP);
  auto made =
      std::unique_ptr<KeptMemory>(new KeptMemory(std::move(memory), static_cast<char*>(map), size));
  made->Refresh();
  return made;
}

KeptMemory::~KeptMemory() { munmap(map_, size_); }

template <typename Function>
void KeptMemory::ForEachUsedRange(const Function& function) const {
  off_t end = 0;
  while (true) {
    const off_t begin = lseek(memory_.get(), end, SEEK_DATA);
    if (begin < 0 || static_cast<size_t>(begin) >= size_) return;
    end = lseek(memory_.get(), begin, SEEK_HOLE);
    if (end <= begin) return;
    function(map_ + begin, std::min(static_cast<size_t>(end), size_) - static_cast<size_t>(begin));
  }
}

void KeptMemory::Refresh() {
  struct stat attributes = {};
  if (fstat(memory_.get(), &attributes) != 0 || attributes.st_blocks == used_blocks_) return;
  used_blocks_ = attributes.st_blocks;
  ForEachUsedRange([this](char* begin, size_t size) {
    if (mlock(begin, size) == 0) return;
    LogLine(LogLevel::kWarning,
            Format("cannot lock {} bytes of kept secret values ({})", size, strerror(errno)));
    used_blocks_ = -1;
  });
}

void KeptMemory::WipeAll() {
  ForEachUsedRange([](char* begin, size_t size) { explicit_bzero(begin, size); });
}

}  // namespace secretfs::fs
