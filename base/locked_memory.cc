#include "base/locked_memory.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace secretfs {
namespace {

constexpr size_t kChunk = 64 * 1024;
constexpr size_t kPageBytes = 4096;
constexpr size_t kSmallest = 64;
constexpr size_t kLargestShared = 4096;
constexpr size_t kClasses = 7;  // 64, 128, … 4096

size_t ClassOf(size_t size) {
  return std::bit_width(std::max(size, kSmallest) - 1) - std::bit_width(kSmallest - 1);
}

size_t RoundToPages(size_t size) { return (size + kPageBytes - 1) / kPageBytes * kPageBytes; }

// Small pieces: each class has a list of free pieces, threaded through a side vector so that freed
// memory stays all zero. A chunk belongs to one class for ever; chunks are never unmapped, because
// secrets come and go at a steady size.
class Pool {
 public:
  void* Allocate(size_t size) {
    absl::MutexLock lock(&mutex_);
    stats_.bytes_in_use += size;
    if (size > kLargestShared) return Map(RoundToPages(size));
    std::vector<char*>& free_list = free_[ClassOf(size)];
    if (free_list.empty()) Refill(free_list, kSmallest << ClassOf(size));
    char* piece = free_list.back();
    free_list.pop_back();
    return piece;
  }

  void Release(void* memory, size_t size) {
    Wipe(memory, size);
    absl::MutexLock lock(&mutex_);
    stats_.bytes_in_use -= size;
    if (size > kLargestShared) {
      Unmap(memory, RoundToPages(size));
    } else {
      free_[ClassOf(size)].push_back(static_cast<char*>(memory));
    }
  }

  bool LockInPlace(void* memory, size_t size) {
    const bool locked = mlock2(memory, size, MLOCK_ONFAULT) == 0;
    absl::MutexLock lock(&mutex_);
    stats_.bytes_mapped += size;
    if (!locked) stats_.bytes_not_locked += size;
    return locked;
  }

  void ForgetLocked(size_t size, size_t not_locked) {
    absl::MutexLock lock(&mutex_);
    stats_.bytes_mapped -= size;
    stats_.bytes_not_locked -= not_locked;
  }

  LockedMemoryStats stats() {
    absl::MutexLock lock(&mutex_);
    return stats_;
  }

 private:
  void* Map(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    madvise(memory, bytes, MADV_DONTDUMP);
    stats_.bytes_mapped += bytes;
    if (mlock(memory, bytes) != 0) {
      stats_.bytes_not_locked += bytes;
      unlocked_.push_back(memory);
    }
    return memory;
  }

  void Unmap(void* memory, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    munmap(memory, bytes);
    stats_.bytes_mapped -= bytes;
    if (const auto it = std::find(unlocked_.begin(), unlocked_.end(), memory);
        it != unlocked_.end()) {
      unlocked_.erase(it);
      stats_.bytes_not_locked -= bytes;
    }
  }

  void Refill(std::vector<char*>& free_list, size_t piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    char* chunk = static_cast<char*>(Map(kChunk));
    for (size_t offset = kChunk; offset >= piece; offset -= piece) {
      free_list.push_back(chunk + offset - piece);
    }
  }

  absl::Mutex mutex_;
  std::array<std::vector<char*>, kClasses> free_ ABSL_GUARDED_BY(mutex_);
  std::vector<void*> unlocked_ ABSL_GUARDED_BY(mutex_);
  LockedMemoryStats stats_ ABSL_GUARDED_BY(mutex_);
};

Pool& ThePool() {
  static Pool* pool = new Pool;  // never destroyed: values may be released during exit
  return *pool;
}

}  // namespace

void* AllocateLocked(size_t size) { return ThePool().Allocate(size); }
void ReleaseLocked(void* memory, size_t size) {
  if (memory != nullptr) ThePool().Release(memory, size);
}
bool LockInPlace(void* memory, size_t size) { return ThePool().LockInPlace(memory, size); }
void ForgetLocked(size_t size, size_t not_locked) { ThePool().ForgetLocked(size, not_locked); }
LockedMemoryStats GetLockedMemoryStats() { return ThePool().stats(); }
void Wipe(void* memory, size_t size) { explicit_bzero(memory, size); }

}  // namespace secretfs
