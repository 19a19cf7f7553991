#include "base/locked_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace secretfs {
namespace {

// The flags the kernel shows for the mapping that holds `address` (proc(5), VmFlags).
std::string MappingFlags(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0, end = 0;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = begin <= wanted && wanted < end;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return "";
}

TEST(LockedMemory, IsLockedAndLeftOutOfCoreDumps) {
  for (const size_t size : {size_t{10}, size_t{4096}, size_t{300'000}}) {
    void* memory = AllocateLocked(size);
    const std::string flags = MappingFlags(memory);
    EXPECT_NE(flags.find(" dd"), std::string::npos) << size << ": " << flags;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they make mlock do nothing
    if (GetLockedMemoryStats().bytes_not_locked == 0) {
      EXPECT_NE(flags.find(" lo"), std::string::npos) << size << ": " << flags;
    }
#endif
    ReleaseLocked(memory, size);
  }
}

TEST(LockedMemory, ReleasedPiecesAreWiped) {
  char* memory = static_cast<char*>(AllocateLocked(64));
  std::memcpy(memory, "planted-value", 13);
  ReleaseLocked(memory, 64);
  // The chunk stays mapped and the piece is the next one handed out for its class.
  char* again = static_cast<char*>(AllocateLocked(64));
  ASSERT_EQ(again, memory);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(again[i], 0) << i;
  ReleaseLocked(again, 64);
}

TEST(LockedMemory, PiecesDoNotOverlapUnderThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int round = 0; round < 200; ++round) {
        std::vector<std::pair<char*, size_t>> pieces;
        for (size_t size = 1; size < 6000; size = size * 3 + 1) {
          char* piece = static_cast<char*>(AllocateLocked(size));
          std::memset(piece, t + 1, size);
          pieces.emplace_back(piece, size);
        }
        for (const auto& [piece, size] : pieces) {
          for (size_t i = 0; i < size; ++i) ASSERT_EQ(piece[i], t + 1);
          ReleaseLocked(piece, size);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace secretfs
