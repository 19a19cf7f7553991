#include "base/block_map.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace secretfs {
namespace {

TEST(BlockMap, TakesTheFirstRunThatFits) {
  BlockMap map(200);
  EXPECT_EQ(map.Take(3), 0u);
  EXPECT_EQ(map.Take(100), 3u);
  EXPECT_EQ(map.Take(90), 103u);
  EXPECT_EQ(map.free(), 7u);
  map.Release(1, 2);
  EXPECT_EQ(map.Take(3), 193u);
  EXPECT_EQ(map.Take(2), 1u);
  EXPECT_EQ(map.Take(5), std::nullopt);
  EXPECT_EQ(map.Take(4), 196u);
  EXPECT_EQ(map.Take(1), std::nullopt);
  EXPECT_EQ(map.Take(0), 0u);
}

TEST(BlockMap, TakesNamedBlocksOnlyIfFreeAndThere) {
  BlockMap map(100);
  EXPECT_TRUE(map.TakeThese(70, 10));
  EXPECT_FALSE(map.TakeThese(79, 2));
  EXPECT_FALSE(map.TakeThese(60, 11));
  EXPECT_FALSE(map.TakeThese(95, 6));
  EXPECT_FALSE(map.TakeThese(4'000'000'000, 4'000'000'000));
  EXPECT_TRUE(map.TakeThese(80, 20));
  EXPECT_EQ(map.free(), 70u);
}

TEST(BlockMap, AgreesWithAVectorOfFlags) {
  constexpr uint32_t kBlocks = 300;
  BlockMap map(kBlocks);
  std::vector<bool> used(kBlocks);
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same run each time
  const auto first_fit = [&](uint32_t count) -> std::optional<uint32_t> {
    for (uint32_t first = 0; first + count <= kBlocks; ++first) {
      uint32_t run = 0;
      while (run < count && !used[first + run]) ++run;
      if (run == count) return first;
    }
    return std::nullopt;
  };
  for (int step = 0; step < 5000; ++step) {
    const uint32_t count = 1 + random() % 20;
    if (random() % 2 == 0) {
      const std::optional<uint32_t> expected = first_fit(count);
      ASSERT_EQ(map.Take(count), expected);
      for (uint32_t i = 0; expected && i < count; ++i) used[*expected + i] = true;
    } else {
      const uint32_t first = random() % (kBlocks - count);
      map.Release(first, count);
      for (uint32_t i = 0; i < count; ++i) used[first + i] = false;
    }
    ASSERT_EQ(map.free(), static_cast<uint32_t>(std::count(used.begin(), used.end(), false)));
  }
}

}  // namespace
}  // namespace secretfs
