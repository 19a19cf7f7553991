#include "base/wiping_heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECRETFS_HEAP_OF_A_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SECRETFS_HEAP_OF_A_SANITIZER 1
#endif
#endif

#ifdef SECRETFS_HEAP_OF_A_SANITIZER

bool secretfs::HeapIsWiped() { return false; }

#else

// The C library's own, under the names that it keeps for programs with a free of theirs.
extern "C" {
void* __libc_malloc(size_t size);  // NOLINT(bugprone-reserved-identifier)
void __libc_free(void* memory);    // NOLINT(bugprone-reserved-identifier)
}

namespace {

// The whole block, which may be larger than what was asked for: libraries grow strings into it.
void WipeBlock(void* memory, size_t from) {
  const size_t size = malloc_usable_size(memory);
  if (from < size) explicit_bzero(static_cast<char*>(memory) + from, size - from);
}

}  // namespace

extern "C" {

void free(void* memory) noexcept {
  if (memory == nullptr) return;
  WipeBlock(memory, 0);
  __libc_free(memory);
}

// The C library's would move a block and give the old one back as it is.
void* realloc(void* memory, size_t size) noexcept {
  if (memory == nullptr) return __libc_malloc(size);
  if (size == 0) {
    free(memory);
    return nullptr;
  }
  const size_t usable = malloc_usable_size(memory);
  if (size <= usable && size >= usable / 2) {
    WipeBlock(memory, size);
    return memory;
  }
  void* const moved = __libc_malloc(size);
  if (moved == nullptr) return nullptr;
  memcpy(moved, memory, std::min(size, usable));
  free(memory);
  return moved;
}

void* reallocarray(void* memory, size_t count, size_t size) noexcept {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return realloc(memory, bytes);
}

}  // extern "C"

bool secretfs::HeapIsWiped() { return true; }

#endif
