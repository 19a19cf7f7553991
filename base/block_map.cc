#include "base/block_map.h"

#include <algorithm>
#include <bit>

namespace secretfs {
namespace {

constexpr uint32_t kBits = 64;

uint64_t BitOf(uint32_t block) { return uint64_t{1} << (block % kBits); }
// The bits of a word from `block` on.
uint64_t MaskFrom(uint32_t block) { return ~uint64_t{0} << (block % kBits); }

}  // namespace

uint32_t BlockMap::NextFree(uint32_t from) const {
  uint64_t mask = MaskFrom(from);
  for (size_t index = from / kBits; index < words_.size(); ++index, mask = ~uint64_t{0}) {
    const uint64_t free_bits = ~words_[index] & mask;
    if (free_bits != 0) {
      const size_t found = index * kBits + static_cast<size_t>(std::countr_zero(free_bits));
      return static_cast<uint32_t>(std::min<size_t>(found, blocks_));
    }
  }
  return static_cast<uint32_t>(
      std::min<size_t>(std::max<size_t>(from, words_.size() * kBits), blocks_));
}

uint32_t BlockMap::NextUsed(uint32_t from) const {
  uint64_t mask = MaskFrom(from);
  for (size_t index = from / kBits; index < words_.size(); ++index, mask = ~uint64_t{0}) {
    const uint64_t used_bits = words_[index] & mask;
    if (used_bits != 0) {
      return static_cast<uint32_t>(index * kBits +
                                   static_cast<size_t>(std::countr_zero(used_bits)));
    }
  }
  return blocks_;
}

void BlockMap::Mark(uint32_t first, uint32_t count) {
  const size_t words = (size_t{first} + count + kBits - 1) / kBits;
  if (words > words_.size()) words_.resize(words);
  for (uint32_t block = first; block < first + count; ++block) {
    words_[block / kBits] |= BitOf(block);
  }
  free_ -= count;
}

std::optional<uint32_t> BlockMap::Take(uint32_t count) {
  if (count == 0) return 0;
  if (count > free_) return std::nullopt;
  lowest_free_ = NextFree(lowest_free_);
  for (uint32_t first = lowest_free_; blocks_ - first >= count;) {
    const uint32_t end = NextUsed(first);
    if (end - first >= count) {
      Mark(first, count);
      return first;
    }
    first = NextFree(end);
  }
  return std::nullopt;
}

bool BlockMap::TakeThese(uint32_t first, uint32_t count) {
  if (count == 0) return true;
  if (first >= blocks_ || count > blocks_ - first) return false;
  if (NextFree(first) != first || NextUsed(first) - first < count) return false;
  Mark(first, count);
  return true;
}

void BlockMap::Release(uint32_t first, uint32_t count) {
  for (size_t block = first; block < size_t{first} + count; ++block) {
    if (block / kBits >= words_.size()) break;
    uint64_t& word = words_[block / kBits];
    const uint64_t bit = BitOf(static_cast<uint32_t>(block));
    if ((word & bit) == 0) continue;
    word &= ~bit;
    ++free_;
  }
  lowest_free_ = std::min(lowest_free_, first);
}

}  // namespace secretfs
