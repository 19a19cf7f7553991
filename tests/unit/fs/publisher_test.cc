#include "fs/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/channel_pool.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_kernel.h"
#include "tests/fakes/fake_operations.h"

namespace secretfs::fs {
namespace {

using fakes::FakeKernel;
using fakes::FakeOperations;
using secretfs::fakes::Eventually;
using ::testing::ElementsAre;

constexpr absl::Duration kPublishPatience = absl::Seconds(20);

// Plans against a fake kernel whose "mount" cannot be reached by any path; real mounts are in
// tests/integration/fuse.
class PublisherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FuseChannelOptions options;
    options.publisher_thread = publisher_.thread();
    auto channel = FuseChannel::Make(kernel_.TakeDevice(), operations_, std::move(options));
    ASSERT_TRUE(channel.ok());
    channel_ = *std::move(channel);
    auto pool = ChannelPool::Start(2);
    ASSERT_TRUE(pool.ok());
    pool_ = *std::move(pool);
    ASSERT_TRUE(pool_->Add(channel_).ok());
    kernel_.SendInit();
    ASSERT_TRUE(kernel_.Receive().has_value());
  }

  void TearDown() override {
    mount_.reset();
    channel_->Close();
    pool_->Remove(*channel_);
  }

  PublishTarget Target() {
    return {.channel = channel_,
            .operations = &operations_,
            .hands = MakeLocalHands("/nowhere/at/all", 12345),
            .directory = "/nowhere/at/all"};
  }

  PublishPlan Counted(PublishPlan plan) {
    plan.done = [this] {
      absl::MutexLock lock(&mutex_);
      ++done_;
    };
    return plan;
  }

  bool AwaitDone(int count) {
    return Eventually([&] {
      absl::MutexLock lock(&mutex_);
      return done_ >= count;
    });
  }

  FakeKernel kernel_;
  FakeOperations operations_;
  Publisher publisher_;
  std::unique_ptr<MountPublisher> mount_ = publisher_.NewMount();
  std::shared_ptr<FuseChannel> channel_;
  std::unique_ptr<ChannelPool> pool_;
  absl::Mutex mutex_;
  int done_ = 0;
};

TEST_F(PublisherTest, PlansWaitUntilTheMountIsAttachedAndKeepTheirOrder) {
  for (const char* name : {"a", "b", "c"}) {
    mount_->Submit(Counted({.stale_names = {{.parent = kRootInode, .name = name}}}));
  }
  EXPECT_TRUE(kernel_.Silent());
  mount_->Attach(Target());
  ASSERT_TRUE(AwaitDone(3));
  for (const char* name : {"a", "b", "c"}) {
    const auto reply = kernel_.Receive();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->header.error, FUSE_NOTIFY_INVAL_ENTRY);
    EXPECT_STREQ(reply->body.c_str() + sizeof(fuse_notify_inval_entry_out), name);
  }
}

TEST_F(PublisherTest, NamesAreForgottenBeforeDirectories) {
  mount_->Attach(Target());
  mount_->Submit(Counted({.stale_names = {{.parent = InodeNumber(5), .name = "x"}},
                          .stale_directories = {InodeNumber(5)}}));
  ASSERT_TRUE(AwaitDone(1));
  EXPECT_EQ(kernel_.Receive()->header.error, FUSE_NOTIFY_INVAL_ENTRY);
  EXPECT_EQ(kernel_.Receive()->header.error, FUSE_NOTIFY_INVAL_INODE);
}

TEST_F(PublisherTest, ParkedRequestsMakeItAvoidTheDirectorysLock) {
  mount_->Attach(Target());
  operations_.Hold("slow");
  kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(operations_.AwaitParked(1, kPublishPatience));
  // Parked for the channel a moment after it is for Operations.
  ASSERT_TRUE(Eventually([&] { return channel_->parked() == 1; }));
  mount_->Submit(
      Counted({.stale_names = {{.parent = kRootInode, .name = "a"}}, .touched_paths = {"a"}}));
  ASSERT_TRUE(AwaitDone(1));
  EXPECT_EQ(kernel_.Receive()->header.error, 8) << "FUSE_NOTIFY_INC_EPOCH";
  EXPECT_TRUE(kernel_.Silent());
}

TEST_F(PublisherTest, UnreachableMountIsSwitchedAllTheSame) {
  mount_->Attach(Target());
  mount_->Submit(Counted({.data_target = "..2026_1"}));
  ASSERT_TRUE(AwaitDone(1));
  EXPECT_EQ(operations_.data_target(), "..2026_1");
  EXPECT_EQ(kernel_.Receive()->header.error, FUSE_NOTIFY_INVAL_ENTRY);
  mount_->Submit(Counted({.data_target = "..2026_2"}));
  ASSERT_TRUE(AwaitDone(2));
  EXPECT_EQ(operations_.data_target(), "..2026_2");
  EXPECT_THAT(operations_.calls(), ElementsAre("symlink ..data_tmp", "rename ..data_tmp ..data",
                                               "symlink ..data_tmp", "rename ..data_tmp ..data"));
}

TEST_F(PublisherTest, LeftoverTemporaryLinkIsRemoved) {
  operations_.PutFile("..data_tmp", "left by a dead predecessor");
  mount_->Attach(Target());
  mount_->Submit(Counted({.data_target = "..2026_1"}));
  ASSERT_TRUE(AwaitDone(1));
  EXPECT_EQ(operations_.data_target(), "..2026_1");
}

TEST_F(PublisherTest, OneMountDoesNotHoldUpAnother) {
  auto other = publisher_.NewMount();
  mount_->Submit(Counted({}));  // never attached
  other->Attach(Target());
  other->Submit(Counted({}));
  EXPECT_TRUE(AwaitDone(1));
  other.reset();
}

TEST_F(PublisherTest, DetachDropsWhatIsQueued) {
  mount_->Submit(Counted({}));
  mount_->Detach();
  mount_->Attach(Target());
  mount_->Submit(Counted({}));
  auto other = publisher_.NewMount();
  other->Attach(Target());
  other->Submit(Counted({}));
  ASSERT_TRUE(AwaitDone(1));
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(done_, 1);
}

}  // namespace
}  // namespace secretfs::fs
