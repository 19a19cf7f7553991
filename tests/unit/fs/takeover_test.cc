// A connection that goes from one server to the next: the first one sits on its requests as if it
// had been killed, the second takes over from what outlives it. The kernel is played by a fake;
// real ones are in tests/integration.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/channel_pool.h"
#include "fs/fuse_channel.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_kernel.h"
#include "tests/fakes/fake_operations.h"
#include "tests/unit/fs/journal_memory.h"

namespace secretfs::fs {
namespace {

using fakes::FakeKernel;
using fakes::FakeOperations;
using fakes::KernelReply;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kTakeoverPatience = absl::Seconds(20);
constexpr MountId kTakenMount{3};
constexpr uint64_t kResent = uint64_t{1} << 63;

// One server, as far as the connection knows it.
struct Server {
  std::unique_ptr<RequestJournal> journal;
  FakeOperations operations;
  std::shared_ptr<FuseChannel> channel;
  std::unique_ptr<ChannelPool> pool;

  // Reads nothing any more; what it has parked stays unanswered, as in a process that was killed.
  void StopReading() { pool.reset(); }

  ~Server() {
    StopReading();
    if (channel != nullptr) channel->Close();
  }
};

class TakeoverTest : public ::testing::Test {
 protected:
  std::unique_ptr<Server> NewServer() {
    auto server = std::make_unique<Server>();
    auto journal = RequestJournal::Attach(journal_memory_.get());
    EXPECT_TRUE(journal.ok()) << journal.status();
    server->journal = *std::move(journal);
    FuseChannelOptions options;
    options.journal = server->journal.get();
    options.mount = kTakenMount;
    options.save_init = [this](const InitExchange& agreed) { agreed_ = agreed; };
    options.first_listing = ++generation_ << 32;
    auto channel =
        FuseChannel::Make(UniqueFd(dup(device_.get())), server->operations, std::move(options));
    EXPECT_TRUE(channel.ok()) << channel.status();
    server->channel = *std::move(channel);
    auto pool = ChannelPool::Start(2, server->journal.get());
    EXPECT_TRUE(pool.ok()) << pool.status();
    server->pool = *std::move(pool);
    return server;
  }

  void Serve(Server& server) {
    server.channel->ServeLeft();
    ASSERT_TRUE(server.pool->Add(server.channel).ok());
  }

  KernelReply Receive() {
    const auto reply = kernel_.Receive();
    EXPECT_TRUE(reply.has_value()) << "no reply in time";
    return reply.value_or(KernelReply{});
  }

  FakeKernel kernel_;
  UniqueFd device_ = kernel_.TakeDevice();
  UniqueFd journal_memory_ = JournalMemory();
  InitExchange agreed_;
  uint64_t generation_ = 0;
};

TEST_F(TakeoverTest, AnswersWhatTheOtherHadParkedFromTheJournal) {
  auto first = NewServer();
  Serve(*first);
  kernel_.SendInit();
  Receive();
  first->operations.Hold("slow");
  const uint64_t unique = kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(first->operations.AwaitParked(1, kTakeoverPatience));
  EXPECT_THAT(first->channel->Waiting(), SizeIs(1));

  first->StopReading();
  auto second = NewServer();
  const InodeNumber inode = second->operations.PutFile("slow", "value");
  ASSERT_TRUE(second->channel->TakeOver(agreed_, /*use_resend=*/false).ok());
  Serve(*second);
  const KernelReply reply = Receive();
  EXPECT_EQ(reply.header.unique, unique);
  EXPECT_EQ(reply.header.error, 0);
  EXPECT_EQ(reply.As<fuse_entry_out>().nodeid, inode.value());
  EXPECT_TRUE(kernel_.Silent());  // the INIT reply stays away from the kernel

  // Answered: a third one finds nothing.
  auto third = NewServer();
  ASSERT_TRUE(third->channel->TakeOver(agreed_, /*use_resend=*/false).ok());
  third->channel->ServeLeft();
  EXPECT_TRUE(kernel_.Silent());
  first->operations.Release("slow");
  Receive();
}

TEST_F(TakeoverTest, AsksTheKernelToResendAndKnowsSinceWhenARequestWaits) {
  auto first = NewServer();
  Serve(*first);
  // A kernel that can: FUSE_INIT_EXT, and FUSE_HAS_RESEND of the upper flags.
  fuse_init_in init = {};
  init.major = 7;
  init.minor = 40;
  init.flags = FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS;
  init.flags2 = 1u << 7;
  kernel_.Send(FUSE_INIT, 0, fakes::BytesOf(init));
  Receive();
  first->operations.Hold("slow");
  const uint64_t unique = kernel_.SendLookup(1, "slow");
  ASSERT_TRUE(first->operations.AwaitParked(1, kTakeoverPatience));
  const Duration age = first->channel->Waiting().front().age;

  first->StopReading();
  auto second = NewServer();
  second->operations.Hold("slow");
  ASSERT_TRUE(second->channel->TakeOver(agreed_, /*use_resend=*/true).ok());
  const KernelReply notification = Receive();
  EXPECT_EQ(notification.header.unique, 0u);
  EXPECT_EQ(notification.header.error, 7);  // FUSE_NOTIFY_RESEND
  Serve(*second);

  // As the kernel does it: the same request with one more bit in its number.
  std::string bytes(sizeof(fuse_in_header), '\0');
  fuse_in_header header = {};
  header.opcode = FUSE_LOOKUP;
  header.unique = unique | kResent;
  header.nodeid = 1;
  header.len = sizeof(header) + 5;
  memcpy(bytes.data(), &header, sizeof(header));
  kernel_.SendBytes(bytes + std::string("slow\0", 5));
  ASSERT_TRUE(second->operations.AwaitParked(1, kTakeoverPatience));
  ASSERT_THAT(second->channel->Waiting(), SizeIs(1));
  EXPECT_GE(second->channel->Waiting().front().age, age);
  EXPECT_EQ(second->channel->Waiting().front().operation, "lookup");
  second->operations.Release("slow");
  EXPECT_EQ(Receive().header.unique, unique | kResent);
  first->operations.Release("slow");
  Receive();
}

TEST_F(TakeoverTest, RefusesWhatWasAgreedOtherwise) {
  auto first = NewServer();
  Serve(*first);
  kernel_.SendInit();
  Receive();
  InitExchange other = agreed_;
  reinterpret_cast<fuse_init_out*>(other.reply.data() + sizeof(fuse_out_header))->flags ^=
      FUSE_WRITEBACK_CACHE;
  first->StopReading();
  auto second = NewServer();
  const absl::Status status = second->channel->TakeOver(other, /*use_resend=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("flags"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("unmount"));
}

TEST_F(TakeoverTest, AnInitThatWasSavedButNotAnsweredIsAnsweredWhenTheKernelAsksAgain) {
  auto first = NewServer();
  Serve(*first);
  const uint64_t unique = kernel_.SendInit();
  const KernelReply said = Receive();
  first->StopReading();
  auto second = NewServer();
  ASSERT_TRUE(second->channel->TakeOver(agreed_, /*use_resend=*/false).ok());
  first.reset();
  Serve(*second);
  // Resent by the kernel, which did not hear the first.
  const auto* request = reinterpret_cast<const char*>(agreed_.request.data());
  kernel_.SendBytes(std::string(request, agreed_.request.size()));
  const KernelReply again = Receive();
  EXPECT_EQ(again.header.unique, unique);
  EXPECT_EQ(again.body, said.body);
}

TEST_F(TakeoverTest, ADirectoryOpenedWithTheOtherServerIsListedAnew) {
  auto first = NewServer();
  Serve(*first);
  kernel_.SendInit();
  Receive();
  kernel_.Send(FUSE_OPENDIR, 1, std::string(sizeof(fuse_open_in), '\0'));
  const uint64_t handle = Receive().As<fuse_open_out>().fh;

  first->StopReading();
  auto second = NewServer();
  second->operations.PutFile("a-name", "value");
  ASSERT_TRUE(second->channel->TakeOver(agreed_, /*use_resend=*/false).ok());
  first.reset();
  Serve(*second);
  fuse_read_in read = {};
  read.fh = handle;
  read.size = 4096;
  kernel_.Send(FUSE_READDIR, 1, fakes::BytesOf(read));
  const KernelReply listing = Receive();
  EXPECT_EQ(listing.header.error, 0);
  EXPECT_THAT(listing.body, HasSubstr("a-name"));
}

}  // namespace
}  // namespace secretfs::fs
