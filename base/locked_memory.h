#pragma once

// Where secret values live: pages that are locked in memory (never swapped), left out of core
// dumps, and wiped when given back. Small pieces share 64 KiB chunks by size class; larger ones get
// pages of their own. Safe to use from any thread.
//
// Locking can fail (RLIMIT_MEMLOCK of a normal user); the memory is then still wiped and
// undumpable, and LockedMemoryStats says how much is not locked, which the mount command logs.

#include <cstddef>

namespace secretfs {

// `size` bytes, zeroed, aligned for any type. Never null: running out of memory ends the process.
void* AllocateLocked(size_t size);

// Wipes and gives back what AllocateLocked returned for the same `size`.
void ReleaseLocked(void* memory, size_t size);

// Locks pages that the caller has mapped, as they are touched; false if the limits do not allow it.
// Both are counted in the statistics until the caller, before it unmaps them, says so.
bool LockInPlace(void* memory, size_t size);
void ForgetLocked(size_t size, size_t not_locked);

struct LockedMemoryStats {
  size_t bytes_in_use = 0;
  size_t bytes_mapped = 0;
  size_t bytes_not_locked = 0;  // of bytes_mapped
};
LockedMemoryStats GetLockedMemoryStats();

// Overwrites `size` bytes in a way that the compiler keeps.
void Wipe(void* memory, size_t size);

}  // namespace secretfs
