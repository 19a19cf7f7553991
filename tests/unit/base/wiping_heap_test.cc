// Looks at blocks of memory after they were given back.

#include "base/wiping_heap.h"

#include <curl/curl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/crypto.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <thread>

namespace secretfs {
namespace {

constexpr char kPlanted[] = "PLANTED-token-";

// glibc's M_MMAP_THRESHOLD, until a block above it was freed.
constexpr size_t kPagesOfItsOwn = 128 << 10;

// The heap's own notes at the beginning of a free block.
constexpr size_t kNotes = 16;

void Fill(void* memory, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    static_cast<char*>(memory)[i] = kPlanted[i % (sizeof kPlanted - 1)];
  }
}

// Through a number, so that no compiler takes it for a use after free.
size_t BytesLeft(uintptr_t address, size_t size) {
  size_t left = 0;
  for (size_t i = kNotes; i < size; ++i) {
    if (*reinterpret_cast<volatile char*>(address + i) != 0) ++left;
  }
  return left;
}

class WipingHeapTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!HeapIsWiped()) GTEST_SKIP() << "a sanitizer's heap";
  }
  // What is left of a block that `give_back` gives back.
  size_t LeftOf(void* memory, const std::function<void(void*)>& give_back) {
    const size_t size = GetParam();
    Fill(memory, size);
    const auto address = reinterpret_cast<uintptr_t>(memory);
    give_back(memory);
    return BytesLeft(address, size);
  }
};

TEST_P(WipingHeapTest, Free) {
  EXPECT_EQ(LeftOf(malloc(GetParam()), [](void* memory) { free(memory); }), 0u);
  EXPECT_EQ(LeftOf(calloc(1, GetParam()), [](void* memory) { free(memory); }), 0u);
}

TEST_P(WipingHeapTest, EveryOperatorDelete) {
  const size_t size = GetParam();
  constexpr std::align_val_t kAlign{64};
  const auto make = [size] { return ::operator new(size); };
  const auto make_aligned = [size] { return ::operator new(size, kAlign); };
  EXPECT_EQ(LeftOf(make(), [](void* p) { ::operator delete(p); }), 0u);
  EXPECT_EQ(LeftOf(make(), [=](void* p) { ::operator delete(p, size); }), 0u);
  EXPECT_EQ(LeftOf(make(), [](void* p) { ::operator delete(p, std::nothrow); }), 0u);
  EXPECT_EQ(LeftOf(::operator new[](size), [](void* p) { ::operator delete[](p); }), 0u);
  EXPECT_EQ(LeftOf(::operator new[](size), [=](void* p) { ::operator delete[](p, size); }), 0u);
  EXPECT_EQ(LeftOf(make_aligned(), [=](void* p) { ::operator delete(p, kAlign); }), 0u);
  EXPECT_EQ(LeftOf(make_aligned(), [=](void* p) { ::operator delete(p, size, kAlign); }), 0u);
}

TEST_P(WipingHeapTest, OpenSsl) {
  EXPECT_EQ(LeftOf(OPENSSL_malloc(GetParam()), [](void* memory) { OPENSSL_free(memory); }), 0u);
}

TEST_P(WipingHeapTest, ABlockThatGrowsOrShrinksLeavesNothing) {
  const size_t size = GetParam();
  char* grown = nullptr;
  EXPECT_EQ(
      LeftOf(malloc(size), [&](void* p) { grown = static_cast<char*>(realloc(p, 4 * size + 64)); }),
      0u);
  EXPECT_EQ(memcmp(grown, kPlanted, std::min(size, sizeof kPlanted - 1)), 0);
  const size_t whole = malloc_usable_size(grown);
  Fill(grown, whole);
  char* const shrunk = static_cast<char*>(realloc(grown, whole - whole / 4));
  ASSERT_EQ(shrunk, grown);
  // Of a block with pages of its own the rest has gone back to the kernel, and is not there to look
  // at.
  const size_t there = whole < kPagesOfItsOwn ? whole : malloc_usable_size(shrunk);
  for (size_t i = whole - whole / 4; i < there; ++i) ASSERT_EQ(shrunk[i], 0) << i;
  if (whole >= kPagesOfItsOwn) {
    free(shrunk);
    return;
  }
  EXPECT_EQ(LeftOf(shrunk, [&](void* p) { grown = static_cast<char*>(realloc(p, size / 8)); }), 0u);
  free(grown);
}

// The sizes of the per-thread cache, of what lies beyond it, and of a block with pages of its own.
INSTANTIATE_TEST_SUITE_P(Sizes, WipingHeapTest,
                         ::testing::Values(768, 24, 40, 1032, 1033, 20'000, 100'000));

TEST(WipingHeapOfLibrariesTest, ATokenInAStringAndInLibcurl) {
  if (!HeapIsWiped()) GTEST_SKIP() << "a sanitizer's heap";
  uintptr_t address = 0;
  size_t size = 0;
  {
    std::string token(752, 'T');
    address = reinterpret_cast<uintptr_t>(token.data());
    size = token.size();
  }
  EXPECT_EQ(BytesLeft(address, size), 0u);
  const std::string text(752, 'T');
  char* const escaped = curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size()));
  address = reinterpret_cast<uintptr_t>(escaped);
  curl_free(escaped);
  EXPECT_EQ(BytesLeft(address, text.size()), 0u);
}

TEST(WipingHeapOfLibrariesTest, TheProgramsOwnCallsWork) {
  EXPECT_EQ(realloc(malloc(10), 0), nullptr);
  free(nullptr);
  volatile size_t too_many = SIZE_MAX / 2;
  EXPECT_EQ(reallocarray(nullptr, too_many, 3), nullptr);
  void* const memory = reallocarray(nullptr, 10, 10);
  ASSERT_NE(memory, nullptr);
  free(memory);
  std::thread([] {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += "grows";
    EXPECT_EQ(text.size(), 500'000u);
  }).join();
}

}  // namespace
}  // namespace secretfs
