// Who may do what: fetching, writing, the publisher's privileges, extended attributes.

#include <unistd.h>

#include "fs/access_check.h"
#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {
namespace {

constexpr Caller kOwner{.uid = 1000, .gid = 1000, .pid = 10, .is_publisher = false};
constexpr Caller kStranger{.uid = 2000, .gid = 2000, .pid = 20, .is_publisher = false};

class PermissionTest : public OperationsTest {
 protected:
  void MountWithMode(mode_t mode) {
    provider_->Set("k", "value");
    MountSpec spec;
    spec.files = {File("k", "k")};
    spec.file_mode = mode;
    spec.uid = 1000;
    spec.gid = 500;
    spec.directory_mode = 0555;
    Mount(std::move(spec));
  }
};

TEST_F(PermissionTest, NothingIsFetchedForWhoMayNotRead) {
  MountWithMode(0400);
  EXPECT_EQ(Cat("k", kStranger), Format("errno {}", EACCES));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(Cat("k", kOwner), "value");
  // Published: the kernel judges by the attributes.
  EXPECT_EQ(Lookup(kRootInode, "k", kStranger)->error(), 0);
  EXPECT_EQ(Stat("k").uid, 1000u);
  EXPECT_EQ(Stat("k").gid, 500u);
}

TEST_F(PermissionTest, SupplementaryGroupsCount) {
  MountWithMode(0440);
  groups_ = {{7, 8}};
  EXPECT_EQ(Cat("k", kStranger), Format("errno {}", EACCES));
  groups_ = {{7, 500}};
  EXPECT_EQ(Cat("k", kStranger), "value");
}

TEST_F(PermissionTest, GroupsThatCannotBeLearntAreLeftToTheKernel) {
  MountWithMode(0440);
  groups_ = std::nullopt;
  EXPECT_EQ(Cat("k", kStranger), "value");
}

TEST_F(PermissionTest, RootAndEverybodysFilesNeedNoGroups) {
  MountWithMode(0004);
  EXPECT_EQ(Cat("k", kStranger), "value");
  Attributes attributes;
  attributes.mode = S_IFREG;
  EXPECT_TRUE(MayRead(kRoot, attributes, nullptr));
  EXPECT_FALSE(MayRead(kOwner, attributes, nullptr));
}

TEST_F(PermissionTest, OwnGroupsComeFromProc) {
  const auto groups = ProcessGroups(getpid());
  ASSERT_TRUE(groups);
  std::vector<gid_t> expected(static_cast<size_t>(getgroups(0, nullptr)));
  if (!expected.empty()) getgroups(static_cast<int>(expected.size()), expected.data());
  EXPECT_EQ(*groups, expected);
  EXPECT_FALSE(ProcessGroups(0));
}

TEST_F(PermissionTest, OnlyThePublisherMayWrite) {
  MountWithMode(0600);
  const InodeNumber inode = Walk("k");
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC}) {
    EXPECT_EQ(Open(inode, flags)->error(), EROFS);
    EXPECT_EQ(Open(inode, flags, kPublisher)->error(), 0);
  }
  EXPECT_EQ(operations_->Truncate(inode, 5, kRoot).error, EROFS);
  EXPECT_EQ(operations_->Truncate(inode, 0, kPublisher).error, EROFS);
  EXPECT_EQ(operations_->Truncate(inode, 5, kPublisher).error, 0);
  EXPECT_EQ(operations_->MakeSymlink(kRootInode, "..data_tmp", "x", kRoot).error, EROFS);
  EXPECT_EQ(operations_->Unlink(kRootInode, "k", kRoot), EROFS);
  EXPECT_EQ(operations_->Unlink(kRootInode, "k", kPublisher), EROFS);
  EXPECT_EQ(operations_->Rename(kRootInode, "k", kRootInode, "l", kPublisher), EROFS);
  EXPECT_EQ(ReadInode(inode), "value");
}

TEST_F(PermissionTest, HiddenNamesAreForThePublisherOnly) {
  MountWithMode(0400);
  const InodeNumber inode = Walk("k");
  const std::string name = HiddenInodeName(inode);
  EXPECT_EQ(Lookup(kRootInode, name)->error(), ENOENT);
  const auto hidden = Lookup(kRootInode, name, kPublisher);
  ASSERT_EQ(hidden->error(), 0);
  EXPECT_FALSE(hidden->value().cacheable);
  EXPECT_EQ(Lookup(kRootInode, HiddenInodeName(kRootInode), kPublisher)->error(), ENOENT);
  EXPECT_EQ(Lookup(kRootInode, HiddenInodeName(InodeNumber(999)), kPublisher)->error(), ENOENT);
  EXPECT_EQ(List(kRootInode), "k");
}

TEST_F(PermissionTest, ThePublisherNeverWaitsForAStore) {
  MountWithMode(0400);
  provider_->Hold();
  EXPECT_EQ(StartLookup(kRootInode, "k", kPublisher)->error(), ESTALE);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(PermissionTest, APublisherWhoIsNotRootGetsTheWriteBit) {
  provider_->Set("k", "value");
  MountSpec spec;
  spec.files = {File("d/k", "k")};
  spec.layout = Layout::kAtomic;
  spec.publisher_needs_write_bit = true;
  Mount(std::move(spec));
  EXPECT_EQ(Stat("d/k").mode, S_IFREG | 0600u);
  EXPECT_EQ(Stat(kRootInode).mode, S_IFDIR | 0700u);
  EXPECT_EQ(Stat("..data").mode, S_IFDIR | 0500u);
  EXPECT_EQ(Open(Walk("d/k"), O_WRONLY)->error(), EROFS);
}

TEST_F(PermissionTest, ManifestMountsAreNoOpenUnlessAudited) {
  MountWithMode(0400);
  EXPECT_FALSE(operations_->serves_open());
  EXPECT_TRUE(Open(Walk("k"))->value().use_no_open);

  MountSpec spec;
  spec.files = {File("k", "k")};
  spec.audit_open = true;
  dentries_.clear();
  Mount(std::move(spec));
  EXPECT_TRUE(operations_->serves_open());
  const auto opened = Open(Walk("k"));
  EXPECT_EQ(opened->error(), 0);
  EXPECT_FALSE(opened->value().use_no_open);
  EXPECT_FALSE(opened->value().prefill);  // the first stat was exact
}

TEST_F(PermissionTest, ExtendedAttributesDescribeTheSecret) {
  MountWithMode(0400);
  const InodeNumber inode = Walk("k");
  EXPECT_EQ(Xattr(inode, "version"), "1");
  EXPECT_EQ(Xattr(inode, "store"), "vault");
  EXPECT_EQ(Xattr(inode, "key"), "k");
  EXPECT_EQ(Xattr(inode, "state"), "fresh");
  EXPECT_EQ(Xattr(inode, "fetched"), "2027-01-15T09:00:00.000Z");
  EXPECT_EQ(Xattr(inode, "expires"), "2027-01-15T09:01:00.000Z");
  EXPECT_EQ(Xattr(inode, "value"), Format("errno {}", ENODATA));
  EXPECT_EQ(operations_->GetExtendedAttribute(inode, "security.selinux").error, ENODATA);
  EXPECT_EQ(operations_->ListExtendedAttributes(inode).value.size(), 6u);
  EXPECT_EQ(Xattr(kRootInode, "state"), Format("errno {}", ENODATA));
  EXPECT_TRUE(operations_->ListExtendedAttributes(kRootInode).value.empty());

  provider_->Fail("k", absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  Advance(seconds(90));
  EXPECT_EQ(Xattr(inode, "state"), "stale");
  Rotate("k", "other");
  EXPECT_EQ(Xattr(inode, "version"), "1");
  EXPECT_EQ(Xattr(inode, "expires"), Format("errno {}", ENODATA));
}

TEST_F(PermissionTest, RequestsOnTheWrongKindOfInode) {
  MountWithMode(0400);
  const InodeNumber file = Walk("k");
  EXPECT_EQ(Lookup(file, "x")->error(), ENOTDIR);
  EXPECT_EQ(Lookup(InodeNumber(999), "x")->error(), ESTALE);
  EXPECT_EQ(OpenDirectory(file)->error(), ENOTDIR);
  EXPECT_EQ(OpenDirectory(InodeNumber(999))->error(), ESTALE);
  EXPECT_EQ(StartRead(kRootInode)->error(), EISDIR);
  EXPECT_EQ(StartRead(InodeNumber(999))->error(), ESTALE);
  EXPECT_EQ(operations_->ReadLink(file).error, EINVAL);
  EXPECT_EQ(operations_->GetAttributes(InodeNumber(999)).error, ESTALE);
  operations_->Forget(InodeNumber(999), 1);
  operations_->Forget(kRootInode, 1000);
  EXPECT_EQ(operations_->GetAttributes(kRootInode).error, 0);
}

}  // namespace
}  // namespace secretfs::fs
