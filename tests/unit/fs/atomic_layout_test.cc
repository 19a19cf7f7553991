// Manifest mounts in the atomic layout: generations that never mix.

#include <regex>

#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {
namespace {

class AtomicLayoutTest : public OperationsTest {
 protected:
  AtomicLayoutTest() : AtomicLayoutTest(providers::Capabilities{.list = true, .batch_size = 10}) {}
  explicit AtomicLayoutTest(providers::Capabilities capabilities) : OperationsTest(capabilities) {}

  void MountPair() {
    SetFields("tls", {{"cert", "cert 1"}, {"key", "key 1"}});
    provider_->Set("other", "unchanged");
    MountSpec spec;
    spec.files = {File("tls/cert.pem", "tls", "cert"), File("tls/key.pem", "tls", "key"),
                  File("other", "other")};
    spec.layout = Layout::kAtomic;
    Mount(std::move(spec));
  }
  void RotatePair(int number) {
    SetFields("tls", {{"cert", Format("cert {}", number)}, {"key", Format("key {}", number)}});
    RefreshKey("tls");
  }
  std::string DataTarget() {
    return operations_->ReadLink(Lookup(kRootInode, "..data")->value().attributes.inode).value;
  }
  void ReadAll() {
    EXPECT_NE(Walk("tls/cert.pem"), InodeNumber());
    EXPECT_NE(Walk("tls/key.pem"), InodeNumber());
    EXPECT_NE(Walk("other"), InodeNumber());
  }
};

TEST_F(AtomicLayoutTest, LooksAsKubernetesMakesIt) {
  MountPair();
  const std::string generation = DataTarget();
  EXPECT_TRUE(std::regex_match(generation, std::regex(R"(\.\.\d{4}(_\d\d){5}\.\d{9})")))
      << generation;
  EXPECT_EQ(List(kRootInode), Format("{}/ ..data@ other@ tls@", generation));
  const auto link = Lookup(kRootInode, "tls");
  EXPECT_EQ(operations_->ReadLink(link->value().attributes.inode).value, "..data/tls");
  EXPECT_EQ(link->value().attributes.mode, S_IFLNK | 0777u);
  EXPECT_EQ(link->value().attributes.size, 10u);
  EXPECT_EQ(List(Walk("..data")), "other tls/");
  EXPECT_EQ(List(Walk("tls")), "cert.pem key.pem");
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(AtomicLayoutTest, TheFirstLookupFetchesTheWholeSetTogetherAndWaitsForItsOwnFileOnly) {
  MountPair();
  provider_->HoldKey("nothing of ours");
  EXPECT_EQ(Cat("other"), "unchanged");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(provider_->fetch_calls().at(0).refs.size(), 2u);
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  EXPECT_EQ(Cat("tls/key.pem"), "key 1");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(operations_->generation(), 0u);
  EXPECT_TRUE(sink_.plans.empty());
}

TEST_F(AtomicLayoutTest, AnUpdateMovesAllFilesInOneRename) {
  MountPair();
  ReadAll();
  const std::string before = DataTarget();
  const InodeNumber cert = Walk("tls/cert.pem"), other = Walk("other");
  Advance(seconds(1));
  RotatePair(2);
  ASSERT_EQ(sink_.plans.size(), 1u);
  // Until the publisher's rename, readers see the old set.
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  const PublishPlan plan = CarryOutOne();
  EXPECT_EQ(plan.data_target, DataTarget());
  EXPECT_NE(DataTarget(), before);
  EXPECT_GT(DataTarget(), before);
  EXPECT_EQ(plan.touched_paths, (std::vector<std::string>{"tls/cert.pem", "tls/key.pem"}));
  EXPECT_EQ(plan.touched_inodes.size(), 2u);
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 2");
  EXPECT_EQ(Cat("tls/key.pem"), "key 2");
  EXPECT_NE(Walk("tls/cert.pem"), cert);
  EXPECT_EQ(Walk("other"), other);  // unchanged files keep their inode
  EXPECT_EQ(operations_->generation(), 1u);
  EXPECT_EQ(Stat(kRootInode).inode, kRootInode);
}

TEST_F(AtomicLayoutTest, WhoResolvedDataOnceSeesOneGenerationOnly) {
  MountPair();
  ReadAll();
  const InodeNumber old_set = Walk("..data");
  for (int i = 2; i < 5; ++i) {
    RotatePair(i);
    CarryOut();
    EXPECT_EQ(ReadInode(WalkOnce(old_set, "tls/cert.pem", kRoot, false)), "cert 1");
    EXPECT_EQ(ReadInode(WalkOnce(old_set, "tls/key.pem", kRoot, false)), "key 1");
    EXPECT_EQ(Cat("tls/key.pem"), Format("key {}", i));
  }
}

TEST_F(AtomicLayoutTest, OldGenerationsLoseTheirNameOneSwapLaterAndGoWhenForgotten) {
  MountPair();
  ReadAll();
  const std::string first = DataTarget();
  const InodeNumber first_inode = Walk(first);
  RotatePair(2);
  CarryOut();
  EXPECT_EQ(Lookup(kRootInode, first)->error(), 0);
  operations_->Forget(first_inode, 1);
  RotatePair(3);
  const PublishPlan plan = CarryOutOne();
  ASSERT_EQ(sink_.plans.size(), 1u);
  const PublishPlan after = CarryOutOne();
  ASSERT_EQ(after.stale_names.size(), 1u);
  EXPECT_EQ(after.stale_names[0].name, first);
  EXPECT_EQ(after.stale_names[0].parent, kRootInode);
  EXPECT_EQ(Lookup(kRootInode, first)->error(), ESTALE);  // read `..data` again
  // Nameless, but readable as long as the kernel knows it.
  EXPECT_EQ(operations_->GetAttributes(first_inode).error, 0);
  const auto tls = Lookup(first_inode, "tls");
  ASSERT_EQ(tls->error(), 0);
  operations_->Forget(first_inode, 100);
  EXPECT_EQ(operations_->GetAttributes(first_inode).error, 0);  // a directory of it is known
  const InodeNumber tls_inode = tls->value().attributes.inode;
  operations_->Forget(tls_inode, 100);
  EXPECT_EQ(operations_->GetAttributes(tls_inode).error, ESTALE);
  EXPECT_EQ(operations_->GetAttributes(first_inode).error, ESTALE);
}

TEST_F(AtomicLayoutTest, ChangesDuringAPendingSwapMakeAFollowingOne) {
  MountPair();
  ReadAll();
  RotatePair(2);
  RotatePair(3);
  Rotate("other", "changed");
  ASSERT_EQ(sink_.plans.size(), 3u);
  CarryOutOne();
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 2");
  EXPECT_EQ(Cat("other"), "unchanged");
  CarryOutOne();
  while (operations_->generation() < 3) CarryOutOne();
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 3");
  EXPECT_EQ(Cat("other"), "changed");
}

TEST_F(AtomicLayoutTest, AFileThatComesLateIsAddedInPlace) {
  MountPair();
  provider_->Fail("other", absl::NotFoundError("no"), 1);
  EXPECT_EQ(Cat("other"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  Advance(seconds(6));
  EXPECT_EQ(Cat("other"), "unchanged");
  EXPECT_EQ(operations_->generation(), 0u);
  EXPECT_TRUE(sink_.plans.empty());
}

TEST_F(AtomicLayoutTest, AFileThatComesWhileASwapIsPendingWaitsForIt) {
  MountPair();
  provider_->Fail("other", absl::NotFoundError("no"), 1);
  EXPECT_EQ(Cat("other"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  Advance(seconds(6));
  provider_->HoldKey("other");
  const InodeNumber old_set = Walk("..data");
  const auto waiting = Lookup(old_set, "other");
  EXPECT_TRUE(waiting->parked());
  RotatePair(2);  // pending
  provider_->ReleaseKey("other");
  Poll();
  // It belongs to the next set; answering now would mix.
  EXPECT_TRUE(waiting->parked());
  const auto late = Lookup(old_set, "other");
  EXPECT_TRUE(late->parked());
  CarryOutOne();
  EXPECT_EQ(waiting->error(), ESTALE);  // the kernel walks the path again
  EXPECT_EQ(late->error(), ESTALE);
  EXPECT_EQ(Lookup(old_set, "other")->error(), ESTALE);
  EXPECT_EQ(Cat("other"), "unchanged");
  EXPECT_EQ(operations_->parked_requests(), 0u);
}

// The kernel walks a path again only once: a second ESTALE would reach the reader.
TEST_F(AtomicLayoutTest, WhoWaitsForASwapIsSentBackAfterTheLastOfSeveral) {
  MountPair();
  provider_->Fail("other", absl::NotFoundError("no"), 1);
  EXPECT_EQ(Cat("other"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  Advance(seconds(6));
  RotatePair(2);
  RotatePair(3);
  const auto waiting = Lookup(Walk("..data"), "other");
  ASSERT_TRUE(waiting->parked());
  CarryOutOne();
  EXPECT_EQ(operations_->generation(), 1u);
  EXPECT_TRUE(waiting->parked());
  while (operations_->generation() < 2) CarryOutOne();
  EXPECT_EQ(waiting->error(), ESTALE);
  EXPECT_EQ(Cat("other"), "unchanged");
}

TEST_F(AtomicLayoutTest, WithdrawalAndReturnAreGenerations) {
  MountPair();
  ReadAll();
  const InodeNumber old_set = Walk("..data");
  provider_->Remove("other");
  RefreshKey("other");
  RefreshKey("other");
  ASSERT_EQ(sink_.plans.size(), 1u);
  CarryOut();
  EXPECT_EQ(Cat("other"), Format("errno {}", ENOENT));
  EXPECT_EQ(List(Walk("..data")), "tls/");
  EXPECT_EQ(ReadInode(WalkOnce(old_set, "other", kRoot, false)), "unchanged");
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 1");
  Rotate("other", "back");
  CarryOut();
  EXPECT_EQ(Cat("other"), "back");
  EXPECT_EQ(operations_->generation(), 2u);
}

TEST_F(AtomicLayoutTest, AFailedRenameStillSwitchesForReaders) {
  MountPair();
  ReadAll();
  RotatePair(2);
  PublishPlan plan = std::move(sink_.plans.front());
  sink_.plans.pop_front();
  plan.done();  // the publisher could not do its part
  ASSERT_EQ(sink_.plans.size(), 1u);
  EXPECT_EQ(sink_.plans.front().stale_names.back().name, "..data");
  CarryOut();
  EXPECT_EQ(DataTarget(), *plan.data_target);
  EXPECT_EQ(Cat("tls/cert.pem"), "cert 2");
}

TEST_F(AtomicLayoutTest, TheTemporaryLinkObeysItsRules) {
  MountPair();
  ReadAll();
  EXPECT_EQ(Lookup(kRootInode, "..data_tmp")->error(), ENOENT);
  const std::string current = DataTarget();
  ASSERT_EQ(operations_->MakeSymlink(kRootInode, "..data_tmp", current, kPublisher).error, 0);
  EXPECT_EQ(Lookup(kRootInode, "..data_tmp")->error(), 0);
  EXPECT_EQ(operations_->MakeSymlink(kRootInode, "..data_tmp", "x", kPublisher).error, EEXIST);
  EXPECT_EQ(operations_->MakeSymlink(kRootInode, "..other", "x", kPublisher).error, EROFS);
  // To a generation that is not newer: nothing moves.
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kPublisher),
            EINVAL);
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kRoot), EROFS);
  EXPECT_EQ(operations_->Unlink(kRootInode, "..data_tmp", kRoot), EROFS);
  EXPECT_EQ(operations_->Unlink(kRootInode, "..data_tmp", kPublisher), 0);
  EXPECT_EQ(operations_->Unlink(kRootInode, "..data_tmp", kPublisher), ENOENT);
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kPublisher),
            ENOENT);
  EXPECT_EQ(DataTarget(), current);
}

TEST_F(AtomicLayoutTest, TheSetStaysSmallOverManyUpdates) {
  MountPair();
  ReadAll();
  for (int i = 2; i < 60; ++i) {
    RotatePair(i);
    CarryOut();
    // A reader that forgets what it saw, as the kernel does under pressure.
    for (const auto& [name, inode] : std::exchange(dentries_, {})) operations_->Forget(inode, 99);
    EXPECT_EQ(Cat("tls/cert.pem"), Format("cert {}", i));
  }
  // Root: links, `..data`, the current and the previous generation.
  EXPECT_EQ(OpenDirectory(kRootInode)->value()->size(), 5u);
  EXPECT_LT(Walk("tls/cert.pem").value(), 60u * 8u);
}

}  // namespace
}  // namespace secretfs::fs
