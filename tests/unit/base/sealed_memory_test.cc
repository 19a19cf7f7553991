#include "base/sealed_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

namespace secretfs {
namespace {

constexpr std::string_view kText = "{\"sandbox\": true}";

absl::StatusOr<UniqueFd> Sealed(std::string_view text) {
  return MakeSealedMemory("test", std::as_bytes(std::span(text.data(), text.size())));
}

TEST(SealedMemory, IsReadAsItWasWritten) {
  const absl::StatusOr<UniqueFd> memory = Sealed(kText);
  ASSERT_TRUE(memory.ok()) << memory.status();
  absl::StatusOr<SealedView> view = SealedView::Of(memory->get(), 4096);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->text(), kText);
  EXPECT_TRUE(view->locked());
  const SealedView moved = *std::move(view);
  EXPECT_EQ(moved.text(), kText);
}

// What a server that was taken over would try with the descriptor that it has.
TEST(SealedMemory, CannotBeChangedByWhoeverHasIt) {
  const absl::StatusOr<UniqueFd> memory = Sealed(kText);
  ASSERT_TRUE(memory.ok()) << memory.status();
  const int descriptor = memory->get();
  EXPECT_EQ(pwrite(descriptor, "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(descriptor, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(descriptor, 8192), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
  // Opened anew, it is the same memory.
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const UniqueFd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (again.valid()) {
    EXPECT_EQ(pwrite(again.get(), "x", 1, 0), -1);
  }
  const absl::StatusOr<SealedView> view = SealedView::Of(descriptor, 4096);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->text(), kText);
}

TEST(SealedMemory, WhatIsNotFullySealedIsRefused) {
  const UniqueFd memory(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(write(memory.get(), kText.data(), kText.size()), static_cast<ssize_t>(kText.size()));
  for (const int seal : {0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE}) {
    ASSERT_EQ(fcntl(memory.get(), F_ADD_SEALS, seal), 0);
    EXPECT_TRUE(absl::IsFailedPrecondition(CheckSealed(memory.get())));
    EXPECT_TRUE(absl::IsFailedPrecondition(SealedView::Of(memory.get(), 4096).status()));
  }
  ASSERT_EQ(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL), 0);
  EXPECT_TRUE(CheckSealed(memory.get()).ok());
  EXPECT_FALSE(CheckSealed(STDERR_FILENO).ok());
  EXPECT_FALSE(CheckSealed(-1).ok());
}

TEST(SealedMemory, IsBounded) {
  const absl::StatusOr<UniqueFd> memory = Sealed(kText);
  ASSERT_TRUE(memory.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(SealedView::Of(memory->get(), 3).status()));
  const absl::StatusOr<UniqueFd> empty = Sealed("");
  ASSERT_TRUE(empty.ok());
  const absl::StatusOr<SealedView> view = SealedView::Of(empty->get(), 3);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->text(), "");
}

}  // namespace
}  // namespace secretfs
