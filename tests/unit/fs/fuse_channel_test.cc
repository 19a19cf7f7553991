#include "fs/fuse_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "fs/channel_pool.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_kernel.h"
#include "tests/fakes/fake_operations.h"

namespace secretfs::fs {
namespace {

using fakes::BytesOf;
using fakes::FakeKernel;
using fakes::FakeOperations;
using fakes::KernelReply;
using secretfs::fakes::Eventually;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr pid_t kPublisherThread = 77;
constexpr absl::Duration kChannelPatience = absl::Seconds(20);
constexpr uint64_t kYear = 365ull * 24 * 3600;

// A kernel, a channel and a pool between them.
class FuseChannelTest : public ::testing::Test {
 protected:
  void Start(bool serves_open = false) {
    operations_ = std::make_unique<FakeOperations>(serves_open);
    FuseChannelOptions options;
    options.publisher_thread = kPublisherThread;
    options.on_stopped = [this](StopReason reason) {
      absl::MutexLock lock(&mutex_);
      stopped_ = reason;
    };
    auto channel = FuseChannel::Make(kernel_.TakeDevice(), *operations_, std::move(options));
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
    auto pool = ChannelPool::Start(2);
    ASSERT_TRUE(pool.ok()) << pool.status();
    pool_ = *std::move(pool);
    ASSERT_TRUE(pool_->Add(channel_).ok());
  }

  void StartServing(bool serves_open = false) {
    Start(serves_open);
    kernel_.SendInit();
    ASSERT_TRUE(kernel_.Receive().has_value());
    ASSERT_TRUE(channel_->WaitForInit(kChannelPatience).ok());
  }

  KernelReply Receive() {
    const auto reply = kernel_.Receive();
    EXPECT_TRUE(reply.has_value()) << "no reply in time";
    return reply.value_or(KernelReply{});
  }

  std::optional<StopReason> AwaitStopped() {
    Eventually([this] {
      absl::MutexLock lock(&mutex_);
      return stopped_.has_value();
    });
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  // The order that MountService keeps.
  void TakeDown() {
    if (channel_ == nullptr) return;
    channel_->Close();
    operations_.reset();
  }

  void TearDown() override {
    if (channel_ == nullptr) return;
    TakeDown();
    pool_->Remove(*channel_);
  }

  FakeKernel kernel_;
  std::unique_ptr<FakeOperations> operations_;
  std::shared_ptr<FuseChannel> channel_;
  std::unique_ptr<ChannelPool> pool_;
  absl::Mutex mutex_;
  std::optional<StopReason> stopped_;
};

TEST_F(FuseChannelTest, InitAsksForWhatTheDesignNeeds) {
  Start();
  kernel_.SendInit();
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.error, 0);
  const auto init = reply.As<fuse_init_out>();
  EXPECT_EQ(init.major, 7u);
  EXPECT_TRUE(init.flags & FUSE_EXPLICIT_INVAL_DATA);
  EXPECT_TRUE(init.flags & FUSE_CACHE_SYMLINKS);
  EXPECT_TRUE(init.flags & FUSE_PARALLEL_DIROPS);
  EXPECT_TRUE(init.flags & FUSE_ABORT_ERROR);
  EXPECT_FALSE(init.flags & FUSE_AUTO_INVAL_DATA);
  EXPECT_FALSE(init.flags & FUSE_WRITEBACK_CACHE);
  EXPECT_FALSE(init.flags & FUSE_ATOMIC_O_TRUNC);
  EXPECT_FALSE(init.flags & FUSE_DO_READDIRPLUS);
  EXPECT_LE(init.max_write + 4096, FuseChannel::kRequestBytes);
  EXPECT_TRUE(channel_->WaitForInit(kChannelPatience).ok());
}

TEST_F(FuseChannelTest, RefusesAnOldProtocol) {
  Start();
  kernel_.SendInit(/*major=*/6);
  EXPECT_EQ(Receive().header.error, -EPROTO);
  EXPECT_EQ(AwaitStopped(), StopReason::kInitRefused);
  const absl::Status status = channel_->WaitForInit(kChannelPatience);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("version"));
}

TEST_F(FuseChannelTest, WaitForInitEndsWithoutInit) {
  Start();
  EXPECT_TRUE(absl::IsUnavailable(channel_->WaitForInit(absl::Milliseconds(10))));
}

TEST_F(FuseChannelTest, RequestBeforeInitIsAnError) {
  Start();
  kernel_.SendLookup(1, "file");
  EXPECT_EQ(Receive().header.error, -EIO);
}

TEST_F(FuseChannelTest, LookupGivesAnEntryThatTheKernelMayKeep) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  const uint64_t unique = kernel_.SendLookup(1, "password");
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, unique);
  EXPECT_EQ(reply.header.error, 0);
  const auto entry = reply.As<fuse_entry_out>();
  EXPECT_EQ(entry.nodeid, inode.value());
  EXPECT_EQ(entry.attr.ino, inode.value());
  EXPECT_EQ(entry.attr.size, 6u);
  EXPECT_EQ(entry.attr.mode, static_cast<uint32_t>(S_IFREG | 0444));
  EXPECT_EQ(entry.entry_valid, kYear);
  EXPECT_EQ(entry.attr_valid, kYear);
  EXPECT_EQ(operations_->lookups(inode), 1u);
}

TEST_F(FuseChannelTest, MissingNameIsAnErrorNotANegativeEntry) {
  StartServing();
  kernel_.SendLookup(1, "missing");
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.error, -ENOENT);
  EXPECT_TRUE(reply.body.empty());
}

TEST_F(FuseChannelTest, UnsettledAttributesAreNotKept) {
  StartServing(/*serves_open=*/true);
  const InodeNumber inode = operations_->PutFile("browsed", "geheim");
  kernel_.SendLookup(1, "browsed");
  EXPECT_EQ(Receive().As<fuse_entry_out>().attr_valid, 0u);
  fuse_getattr_in getattr = {};
  kernel_.Send(FUSE_GETATTR, inode.value(), BytesOf(getattr));
  const auto attributes = Receive().As<fuse_attr_out>();
  EXPECT_EQ(attributes.attr_valid, 0u);
  EXPECT_EQ(attributes.attr.size, 0u);
}

TEST_F(FuseChannelTest, OpenIsAnsweredEnosysWithoutOpens) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  fuse_open_in open = {};
  kernel_.Send(FUSE_OPEN, inode.value(), BytesOf(open));
  EXPECT_EQ(Receive().header.error, -ENOSYS);
}

TEST_F(FuseChannelTest, OpenThatLearnsTheSizeStoresTheContentFirst) {
  StartServing(/*serves_open=*/true);
  const InodeNumber inode = operations_->PutFile("browsed", "geheim");
  fuse_open_in open = {};
  const uint64_t unique = kernel_.Send(FUSE_OPEN, inode.value(), BytesOf(open));
  const KernelReply store = Receive();
  EXPECT_EQ(store.header.unique, 0u);
  EXPECT_EQ(store.header.error, FUSE_NOTIFY_STORE);
  const auto stored = store.As<fuse_notify_store_out>();
  EXPECT_EQ(stored.nodeid, inode.value());
  EXPECT_EQ(stored.size, 6u);
  EXPECT_EQ(store.body.substr(sizeof(stored)), "geheim");
  const KernelReply opened = Receive();
  EXPECT_EQ(opened.header.unique, unique);
  EXPECT_TRUE(opened.As<fuse_open_out>().open_flags & FOPEN_KEEP_CACHE);
  EXPECT_FALSE(opened.As<fuse_open_out>().open_flags & FOPEN_DIRECT_IO);
}

TEST_F(FuseChannelTest, OpenForWritingIsRefused) {
  StartServing(/*serves_open=*/true);
  const InodeNumber inode = operations_->PutFile("browsed", "geheim");
  fuse_open_in open = {.flags = O_WRONLY, .open_flags = 0};
  kernel_.Send(FUSE_OPEN, inode.value(), BytesOf(open));
  EXPECT_EQ(Receive().header.error, -EROFS);
}

TEST_F(FuseChannelTest, ReadCutsOutTheRange) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "0123456789");
  const auto read = [&](uint64_t offset, uint32_t size) {
    fuse_read_in argument = {};
    argument.offset = offset;
    argument.size = size;
    kernel_.Send(FUSE_READ, inode.value(), BytesOf(argument));
    return Receive().body;
  };
  EXPECT_EQ(read(0, 4096), "0123456789");
  EXPECT_EQ(read(3, 4), "3456");
  EXPECT_EQ(read(10, 4), "");
  EXPECT_EQ(read(uint64_t{1} << 40, 4), "");
}

TEST_F(FuseChannelTest, WritingOfEveryKindIsReadOnly) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  const std::string name("x\0y\0", 4);
  fuse_setattr_in chmod = {};
  chmod.valid = FATTR_MODE;
  fuse_setattr_in truncate = {};
  truncate.valid = FATTR_SIZE;
  fuse_write_in write = {};
  write.size = 1;
  const auto error = [&](uint32_t opcode, uint64_t node, std::string body) {
    kernel_.Send(opcode, node, body);
    return Receive().header.error;
  };
  const auto with = [](const auto& argument, std::string_view rest) {
    return std::string(BytesOf(argument)).append(rest);
  };
  EXPECT_EQ(error(FUSE_SETATTR, inode.value(), with(chmod, "")), -EROFS);
  EXPECT_EQ(error(FUSE_SETATTR, inode.value(), with(truncate, "")), -EROFS);
  EXPECT_EQ(error(FUSE_WRITE, inode.value(), with(write, "x")), -EROFS);
  EXPECT_EQ(error(FUSE_MKDIR, 1, with(fuse_mkdir_in{}, name)), -EROFS);
  EXPECT_EQ(error(FUSE_MKNOD, 1, with(fuse_mknod_in{}, name)), -EROFS);
  EXPECT_EQ(error(FUSE_CREATE, 1, with(fuse_create_in{}, name)), -EROFS);
  EXPECT_EQ(error(FUSE_SYMLINK, 1, name), -EROFS);
  EXPECT_EQ(error(FUSE_UNLINK, 1, name), -EROFS);
  EXPECT_EQ(error(FUSE_RMDIR, 1, name), -EROFS);
  EXPECT_EQ(error(FUSE_RENAME, 1, with(fuse_rename_in{.newdir = 1}, name)), -EROFS);
  EXPECT_EQ(error(FUSE_LINK, 1, with(fuse_link_in{.oldnodeid = inode.value()}, name)), -EROFS);
  EXPECT_EQ(error(FUSE_REMOVEXATTR, inode.value(), name), -EROFS);
}

TEST_F(FuseChannelTest, OnlyThePublishersThreadIsThePublisher) {
  StartServing();
  const std::string body("..data_tmp\0..1\0", 15);
  kernel_.Send(FUSE_SYMLINK, 1, body, {.uid = 0, .gid = 0, .pid = kPublisherThread + 1});
  EXPECT_EQ(Receive().header.error, -EROFS);
  kernel_.Send(FUSE_SYMLINK, 1, body, {.uid = 0, .gid = 0, .pid = kPublisherThread});
  EXPECT_EQ(Receive().header.error, 0);
}

TEST_F(FuseChannelTest, ListsADirectoryInPieces) {
  StartServing();
  constexpr int kFiles = 500;
  for (int i = 0; i < kFiles; ++i) operations_->PutFile("file" + std::to_string(i), "x");
  fuse_open_in open = {};
  kernel_.Send(FUSE_OPENDIR, 1, BytesOf(open));
  const uint64_t handle = Receive().As<fuse_open_out>().fh;
  operations_->PutFile("later", "not in this snapshot");
  std::vector<std::string> names;
  uint64_t offset = 0;
  while (true) {
    fuse_read_in read = {};
    read.fh = handle;
    read.offset = offset;
    read.size = 4096;
    kernel_.Send(FUSE_READDIR, 1, BytesOf(read));
    const std::string body = Receive().body;
    if (body.empty()) break;
    for (size_t at = 0; at + FUSE_NAME_OFFSET < body.size();) {
      fuse_dirent entry = {};
      memcpy(&entry, body.data() + at, FUSE_NAME_OFFSET);
      names.emplace_back(body.data() + at + FUSE_NAME_OFFSET, entry.namelen);
      offset = entry.off;
      at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
    }
  }
  ASSERT_EQ(names.size(), kFiles + 2u);
  EXPECT_EQ(names[0], ".");
  EXPECT_EQ(names[1], "..");
  EXPECT_THAT(names, Contains("file499"));
  EXPECT_THAT(names, Not(Contains("later")));
  fuse_release_in release = {};
  release.fh = handle;
  kernel_.Send(FUSE_RELEASEDIR, 1, BytesOf(release));
  EXPECT_EQ(Receive().header.error, 0);
  fuse_read_in read = {};
  read.fh = handle;
  read.size = 4096;
  kernel_.Send(FUSE_READDIR, 1, BytesOf(read));
  // A handle that this server never gave stands for the directory itself.
  const KernelReply again = Receive();
  EXPECT_EQ(again.header.error, 0);
  EXPECT_THAT(again.body, ::testing::HasSubstr("file0"));
}

TEST_F(FuseChannelTest, ExtendedAttributesInTwoCalls) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  const auto get = [&](std::string_view name, uint32_t size) {
    fuse_getxattr_in argument = {};
    argument.size = size;
    kernel_.Send(FUSE_GETXATTR, inode.value(),
                 std::string(BytesOf(argument)).append(name).append(1, '\0'));
    return Receive();
  };
  const std::string expected = "version " + std::to_string(inode.value());
  EXPECT_EQ(get("user.secretfs.version", 0).As<fuse_getxattr_out>().size, expected.size());
  EXPECT_EQ(get("user.secretfs.version", 100).body, expected);
  EXPECT_EQ(get("user.secretfs.version", 3).header.error, -ERANGE);
  EXPECT_EQ(get("security.capability", 100).header.error, -ENODATA);
  fuse_getxattr_in argument = {};
  argument.size = 100;
  kernel_.Send(FUSE_LISTXATTR, inode.value(), BytesOf(argument));
  EXPECT_EQ(Receive().body, std::string("user.secretfs.version\0", 22));
}

TEST_F(FuseChannelTest, UnknownRequestIsEnosys) {
  StartServing();
  kernel_.Send(/*opcode=*/4000, 1, "");
  EXPECT_EQ(Receive().header.error, -ENOSYS);
}

TEST_F(FuseChannelTest, ShortRequestEndsTheConnection) {
  StartServing();
  kernel_.SendBytes("short");
  EXPECT_EQ(AwaitStopped(), StopReason::kReadFailed);
}

TEST_F(FuseChannelTest, RequestWithAWrongLengthEndsTheConnection) {
  StartServing();
  fuse_in_header header = {};
  header.len = 400;
  header.opcode = FUSE_STATFS;
  header.unique = 1000;
  kernel_.SendBytes(BytesOf(header));
  EXPECT_EQ(AwaitStopped(), StopReason::kReadFailed);
}

TEST_F(FuseChannelTest, CountsRequestsButNotForgets) {
  StartServing();
  const uint64_t before = channel_->requests();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  kernel_.SendLookup(1, "password");
  Receive();
  fuse_forget_in forget = {.nlookup = 1};
  kernel_.Send(FUSE_FORGET, inode.value(), BytesOf(forget));
  struct {
    fuse_batch_forget_in count = {.count = 1, .dummy = 0};
    fuse_forget_one one = {.nodeid = 1, .nlookup = 5};
  } batch;
  kernel_.Send(FUSE_BATCH_FORGET, 0, BytesOf(batch));
  kernel_.SendLookup(1, "missing");
  Receive();
  EXPECT_EQ(channel_->requests(), before + 2);
  EXPECT_EQ(operations_->lookups(inode), 0u);
}

TEST_F(FuseChannelTest, ParkedRequestHoldsNoWorker) {
  StartServing();
  operations_->PutFile("ready", "now");
  operations_->PutFile("slow", "later");
  operations_->Hold("slow");
  std::set<uint64_t> slow;
  for (int i = 0; i < 100; ++i) slow.insert(kernel_.SendLookup(1, "slow"));
  ASSERT_TRUE(operations_->AwaitParked(slow.size(), kChannelPatience));
  const uint64_t ready = kernel_.SendLookup(1, "ready");
  EXPECT_EQ(Receive().header.unique, ready);
  EXPECT_EQ(channel_->in_flight(), slow.size());
  operations_->Release("slow");
  std::set<uint64_t> answered;
  for (size_t i = 0; i < slow.size(); ++i) answered.insert(Receive().header.unique);
  EXPECT_EQ(answered, slow);
  EXPECT_EQ(channel_->in_flight(), 0u);
}

TEST_F(FuseChannelTest, InterruptOfAParkedRequestAnswersEintr) {
  StartServing();
  operations_->Hold("slow");
  const uint64_t unique = kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(operations_->AwaitParked(1, kChannelPatience));
  kernel_.SendInterrupt(unique);
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, unique);
  EXPECT_EQ(reply.header.error, -EINTR);
  EXPECT_TRUE(kernel_.Silent()) << "an interrupt that was acted on has no reply";
}

TEST_F(FuseChannelTest, InterruptBeforeItsRequestIsAskedForAgain) {
  StartServing();
  const uint64_t interrupt = kernel_.SendInterrupt(123456);
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, interrupt);
  EXPECT_EQ(reply.header.error, -EAGAIN);
}

TEST_F(FuseChannelTest, InterruptDuringDispatchIsNotLost) {
  StartServing();
  operations_->Hold("slow");
  std::atomic<bool> go_on = false;
  operations_->while_dispatching = [&](RequestId) { Eventually([&] { return go_on.load(); }); };
  const uint64_t unique = kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(operations_->AwaitParked(1, kChannelPatience));
  kernel_.SendInterrupt(unique);
  // The next request is answered after the interrupt was read: by the same worker, or the
  // interrupt's worker is through with it once this one is let go.
  kernel_.SendLookup(1, "missing");
  Receive();
  go_on = true;
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, unique);
  EXPECT_EQ(reply.header.error, -EINTR);
}

TEST_F(FuseChannelTest, InterruptsRaceWithAnswers) {
  StartServing();
  for (int i = 0; i < 2000; ++i) {
    operations_->Hold("slow");
    const uint64_t unique = kernel_.SendLookup(1, "slow");
    std::thread release([&] { operations_->Release("slow"); });
    kernel_.SendInterrupt(unique);
    release.join();
    operations_->Release("slow");
    // One answer to the lookup; perhaps EAGAIN to the interrupt, before or after.
    bool answered = false;
    while (!answered) {
      const auto reply = kernel_.Receive();
      ASSERT_TRUE(reply.has_value()) << "round " << i;
      if (reply->header.unique == unique) answered = true;
    }
  }
}

TEST_F(FuseChannelTest, ThePublisherNeverWaitsForAStore) {
  StartServing();
  operations_->Hold("slow");
  kernel_.SendLookup(1, "slow", {.uid = 0, .gid = 0, .pid = kPublisherThread});
  EXPECT_EQ(Receive().header.error, -EINTR);
}

TEST_F(FuseChannelTest, ArmedStaleAnswerIsGivenOnceAndToThePublisherOnly) {
  StartServing();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  fuse_getattr_in getattr = {};
  const auto error = [&](uint32_t pid) {
    kernel_.Send(FUSE_GETATTR, inode.value(), BytesOf(getattr), {.uid = 0, .gid = 0, .pid = pid});
    return Receive().header.error;
  };
  channel_->ArmStaleAnswer(true);
  EXPECT_EQ(error(kPublisherThread + 1), 0);
  EXPECT_EQ(error(kPublisherThread), -ESTALE);
  EXPECT_EQ(error(kPublisherThread), 0);
}

TEST_F(FuseChannelTest, NotificationsHaveTheirWireFormat) {
  StartServing();
  EXPECT_EQ(channel_->InvalidateName(InodeNumber(7), "name"), 0);
  KernelReply name = Receive();
  EXPECT_EQ(name.header.unique, 0u);
  EXPECT_EQ(name.header.error, FUSE_NOTIFY_INVAL_ENTRY);
  EXPECT_EQ(name.As<fuse_notify_inval_entry_out>().parent, 7u);
  EXPECT_EQ(name.As<fuse_notify_inval_entry_out>().namelen, 4u);
  EXPECT_EQ(name.body.substr(sizeof(fuse_notify_inval_entry_out)), std::string("name\0", 5));
  EXPECT_EQ(channel_->InvalidateInode(InodeNumber(9)), 0);
  KernelReply inode = Receive();
  EXPECT_EQ(inode.header.error, FUSE_NOTIFY_INVAL_INODE);
  EXPECT_EQ(inode.As<fuse_notify_inval_inode_out>().ino, 9u);
  EXPECT_EQ(channel_->InvalidateAllNames(), 0);
  KernelReply epoch = Receive();
  EXPECT_EQ(epoch.header.error, 8);
  EXPECT_EQ(epoch.header.len, sizeof(fuse_out_header));
}

TEST_F(FuseChannelTest, ClosingAnswersWhatIsParked) {
  StartServing();
  operations_->Hold("slow");
  kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(operations_->AwaitParked(1, kChannelPatience));
  TakeDown();
  EXPECT_EQ(Receive().header.error, -ENOTCONN);
  EXPECT_EQ(channel_->in_flight(), 0u);
}

TEST_F(FuseChannelTest, RequestsAfterCloseAreRefusedNotLeftWaiting) {
  StartServing();
  TakeDown();
  fuse_forget_in forget = {.nlookup = 1};
  kernel_.Send(FUSE_FORGET, 100, BytesOf(forget));
  const uint64_t unique = kernel_.SendLookup(1, "file");
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, unique);
  EXPECT_EQ(reply.header.error, -ENOTCONN);
}

TEST_F(FuseChannelTest, CloseWhileRequestsPourIn) {
  StartServing();
  std::atomic<bool> stop = false;
  std::thread kernel([&] {
    for (int i = 0; i < 5000 && !stop; ++i) {
      kernel_.SendLookup(1, "missing");
      if (i % 16 == 15) {
        while (!kernel_.Silent(0)) kernel_.Receive(0);
      }
      std::this_thread::yield();
    }
  });
  ASSERT_TRUE(kernel_.Receive().has_value());
  TakeDown();
  stop = true;
  kernel.join();
}

TEST_F(FuseChannelTest, DestroyedBeforeInit) {
  Start();
  TakeDown();
  EXPECT_TRUE(absl::IsUnavailable(channel_->WaitForInit(absl::Milliseconds(1))));
}

}  // namespace
}  // namespace secretfs::fs
