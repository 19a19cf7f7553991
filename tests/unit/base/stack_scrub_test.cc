#include "base/stack_scrub.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>

namespace secretfs {
namespace {

constexpr uint64_t kPlanted = 0x64656e746e616c70;  // "planted"

// Words that alignment leaves out of the frames on the way.
constexpr size_t kHole = 2;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kStackIsOurs = false;  // sanitizers keep frames elsewhere, or watch each access
#else
constexpr bool kStackIsOurs = true;
#endif

// As a library's function with a buffer on the stack does.
template <size_t Bytes>
[[gnu::noinline]] void LeaveBehind() {
  volatile uint64_t buffer[Bytes / sizeof(uint64_t)];
  for (volatile uint64_t& word : buffer) word = kPlanted;
}

// Words below this function's frame that hold the planted value.
[[gnu::noinline, gnu::no_sanitize("address", "thread", "undefined")]] size_t CountLeft(
    size_t bytes) {
  auto at = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - bytes;
  size_t count = 0;
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i, at += sizeof(uint64_t)) {
    if (*reinterpret_cast<volatile uint64_t*>(at) == kPlanted) ++count;
  }
  return count;
}

void LeaveAndScrub() {
  // Deeper than a store's answer lies, and with a hole that nobody wrote to above it.
  LeaveBehind<48 << 10>();
  ASSERT_GT(CountLeft(64 << 10), 5000u) << "nothing was left, so this test saw nothing";
  ScrubStack();
  EXPECT_LE(CountLeft(64 << 10), kHole);
  LeaveBehind<1 << 10>();
  ScrubStack();
  EXPECT_LE(CountLeft(64 << 10), kHole);
}

TEST(StackScrubTest, NothingOfFunctionsThatReturnedStays) {
  if (!kStackIsOurs) GTEST_SKIP() << "a sanitizer's stack";
  LeaveAndScrub();
  std::thread(LeaveAndScrub).join();
}

[[gnu::noinline]] uint64_t SumAround(uint64_t value) {
  volatile uint64_t kept[32];
  for (volatile uint64_t& word : kept) word = value;
  ScrubStack();
  uint64_t sum = 0;
  for (const volatile uint64_t& word : kept) sum += word;
  return sum;
}

TEST(StackScrubTest, WhatIsInUseStays) {
  EXPECT_EQ(SumAround(kPlanted), 32 * kPlanted);
  std::thread([] { EXPECT_EQ(SumAround(7), 32u * 7); }).join();
}

}  // namespace
}  // namespace secretfs
