#pragma once

// Which blocks of a heap are in use: a bit for each, in this process's memory only. Finds the first
// run that fits, so that what is used stays at the front. Not thread-safe; does not know where the
// heap is.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace secretfs {

class BlockMap {
 public:
  explicit BlockMap(uint32_t blocks) : blocks_(blocks), free_(blocks) {}

  // The first of `count` blocks next to each other, which are in use from now on; nothing when
  // there is no such run. Block 0 for no blocks.
  std::optional<uint32_t> Take(uint32_t count);
  // The same for blocks that the caller names. False, and nothing has changed, unless all of them
  // exist and are free.
  bool TakeThese(uint32_t first, uint32_t count);
  // Blocks that are not there or not in use are ignored.
  void Release(uint32_t first, uint32_t count);

  uint32_t free() const { return free_; }
  // The first free block from `from` on, and the first used one; the number of blocks if none is.
  uint32_t NextFree(uint32_t from) const;
  uint32_t NextUsed(uint32_t from) const;

 private:
  void Mark(uint32_t first, uint32_t count);

  const uint32_t blocks_;
  uint32_t free_;
  // No block before this one is free.
  uint32_t lowest_free_ = 0;
  // A set bit is a block in use. Grows as far as blocks were ever used; what is beyond is free.
  std::vector<uint64_t> words_;
};

}  // namespace secretfs
