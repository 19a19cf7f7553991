#include "cli/mount_request.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sealed_memory.h"

namespace secretfs::cli {
namespace {

MountRequest SomeRequest() {
  MountRequest request;
  request.manifests = {{"/m.yaml", "files: []"}};
  request.source = "/m.yaml";
  request.owner = 1000;
  request.group = 1001;
  request.overrides.ttl = std::chrono::seconds(5);
  return request;
}

TEST(MountRequest, ArrivesWholeAndSealed) {
  const absl::StatusOr<UniqueFd> memory = WriteMountRequest(SomeRequest());
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_TRUE(CheckSealed(memory->get()).ok());
  const absl::StatusOr<MountRequest> read = ReadMountRequest(memory->get());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->manifests, SomeRequest().manifests);
  EXPECT_EQ(read->owner, 1000u);
  EXPECT_EQ(read->group, 1001u);
  EXPECT_EQ(read->overrides.ttl, std::chrono::seconds(5));
}

// The same words in memory that somebody could still write to.
TEST(MountRequest, IsRefusedUnsealed) {
  const absl::StatusOr<UniqueFd> sealed = WriteMountRequest(SomeRequest());
  ASSERT_TRUE(sealed.ok());
  const absl::StatusOr<SealedView> view = SealedView::Of(sealed->get(), 1 << 20);
  ASSERT_TRUE(view.ok());
  const UniqueFd open_memory(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(write(open_memory.get(), view->text().data(), view->size()),
            static_cast<ssize_t>(view->size()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadMountRequest(open_memory.get()).status()));
}

}  // namespace
}  // namespace secretfs::cli
