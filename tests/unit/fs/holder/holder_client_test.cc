// The server's end, against a holder that the test plays on the other end of a socket pair.

#include "fs/holder/holder_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/text.h"
#include "fs/holder/holder_protocol.h"
#include "tests/fakes/eventually.h"

namespace secretfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecordedEvents final : public HolderClient::Events {
 public:
  void OnMount(GivenMount mount) override {
    Add(Format("mount {} {} {}", mount.id.value(), mount.directory, mount.taken_over));
  }
  void OnEndMount(MountId mount) override { Add(Format("end {}", mount.value())); }
  void OnHandOver() override { Add("hand over"); }
  void OnExit() override { Add("exit"); }
  void OnHolderGone() override { Add("gone"); }
  std::vector<std::string> Seen() {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }
  bool Await(size_t count) {
    return fakes::Eventually([&] { return Seen().size() >= count; });
  }

 private:
  void Add(std::string text) {
    absl::MutexLock lock(&mutex_);
    seen_.push_back(std::move(text));
  }
  absl::Mutex mutex_;
  std::vector<std::string> seen_ ABSL_GUARDED_BY(mutex_);
};

class HolderClientTest : public ::testing::Test {
 protected:
  HolderClientTest() : memory_(memfd_create("test", MFD_CLOEXEC)) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) abort();
    holder_.Reset(ends[0]);
    server_.Reset(ends[1]);
  }
  void SendSetup() {
    SetupMessage setup;
    setup.generation = 3;
    setup.has_kept_values = true;
    Send(setup, 3);
  }
  void Connect() {
    SendSetup();
    auto client = HolderClient::Connect(std::move(server_));
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void Send(const MessageToServer& message, size_t descriptors = 0) {
    const std::vector<int> numbers(descriptors, memory_.get());
    ASSERT_EQ(SendPacket(holder_.get(), EncodeMessage(message), numbers, /*wait=*/true),
              SendResult::kSent);
  }
  MessageToHolder Receive() {
    Packet packet;
    EXPECT_EQ(ReceivePacket(holder_.get(), packet, /*wait=*/true), ReceiveResult::kPacket);
    auto message = DecodeMessage<MessageToHolder>(packet.bytes, packet.descriptors.size());
    EXPECT_TRUE(message.ok()) << message.status();
    return message.ok() ? *message : MessageToHolder{};
  }

  UniqueFd memory_, holder_, server_;
  RecordedEvents events_;
  std::unique_ptr<HolderClient> client_;
};

TEST_F(HolderClientTest, TakesTheSetup) {
  Connect();
  const ServerSetup setup = client_->TakeSetup();
  EXPECT_EQ(setup.generation, 3u);
  EXPECT_TRUE(setup.payload.valid());
  EXPECT_TRUE(setup.journal.valid());
  EXPECT_TRUE(setup.kept_values.valid());
  EXPECT_FALSE(setup.control.valid());
}

TEST_F(HolderClientTest, EventsComeInOrder) {
  Connect();
  Send(MountMessage{.id = MountId(1),
                    .directory = "/a",
                    .device_number = 1,
                    .taken_over = true,
                    .mounted_at = {},
                    .has_lifeline = false},
       2);
  Send(EndMountMessage{.id = MountId(1)});
  Send(HandOverMessage{});
  Send(ExitMessage{});
  client_->Start(events_);
  holder_.Reset();
  ASSERT_TRUE(events_.Await(5));
  EXPECT_THAT(events_.Seen(), ElementsAre("mount 1 /a true", "end 1", "hand over", "exit", "gone"));
}

TEST_F(HolderClientTest, SaysWhatItHasToSay) {
  Connect();
  client_->Prepared();
  client_->Ready();
  client_->Failed(4, "why");
  client_->MountEnded(MountId(2), "reason");
  client_->HandedOver();
  client_->Unmount(MountId(3));
  client_->MountAnew(MountId(4));
  EXPECT_TRUE(std::holds_alternative<PreparedMessage>(Receive()));
  EXPECT_TRUE(std::holds_alternative<ReadyMessage>(Receive()));
  EXPECT_EQ(std::get<FailedMessage>(Receive()).text, "why");
  EXPECT_EQ(std::get<MountEndedMessage>(Receive()).reason, "reason");
  EXPECT_TRUE(std::holds_alternative<HandedOverMessage>(Receive()));
  EXPECT_EQ(std::get<UnmountMessage>(Receive()).id, MountId(3));
  EXPECT_EQ(std::get<MountAnewMessage>(Receive()).id, MountId(4));
}

// Answers in the other order, while events come in between.
TEST_F(HolderClientTest, AnswersFindWhoAsked) {
  Connect();
  client_->Start(events_);
  int touched = -1, switched = -1;
  std::thread touching([&] { touched = client_->Touch(MountId(1), "a"); });
  const auto first = std::get<HandsMessage>(Receive());
  EXPECT_EQ(first.action, HandsMessage::kTouch);
  std::thread switching([&] { switched = client_->SwitchData(MountId(1), "b"); });
  const auto second = std::get<HandsMessage>(Receive());
  EXPECT_NE(first.request, second.request);
  AnswerMessage answer;
  answer.request = second.request;
  answer.error = EIO;
  Send(answer);
  switching.join();
  EXPECT_EQ(switched, EIO);
  Send(EndMountMessage{.id = MountId(1)});
  answer.request = first.request;
  answer.error = 0;
  Send(answer);
  touching.join();
  EXPECT_EQ(touched, 0);
}

TEST_F(HolderClientTest, OpensFilesBeforeStart) {
  Connect();
  std::thread holder([&] {
    const auto open = std::get<OpenMessage>(Receive());
    EXPECT_EQ(open.path, "/a");
    EXPECT_FALSE(open.watch);
    Send(ExitMessage{});  // is kept for later
    AnswerMessage answer;
    answer.request = open.request;
    answer.has_descriptor = true;
    Send(answer, 1);
    const auto denied = std::get<OpenMessage>(Receive());
    EXPECT_TRUE(denied.watch);
    AnswerMessage refusal;
    refusal.request = denied.request;
    refusal.error = EACCES;
    refusal.text = "not listed";
    Send(refusal);
  });
  const absl::StatusOr<UniqueFd> file = client_->OpenFile("/a");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_GE(fcntl(file->get(), F_GETFD), 0);
  const absl::Status refused = client_->WatchFile("/b").status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_EQ(refused.message(), "not listed");
  holder.join();
  client_->Start(events_);
  ASSERT_TRUE(events_.Await(1));
  EXPECT_THAT(events_.Seen(), ElementsAre("exit"));
}

TEST_F(HolderClientTest, Groups) {
  Connect();
  client_->Start(events_);
  std::thread holder([&] {
    AnswerMessage answer;
    answer.request = std::get<GroupsMessage>(Receive()).request;
    answer.has_groups = true;
    answer.groups = {1, 2};
    Send(answer);
    AnswerMessage unknown;
    unknown.request = std::get<GroupsMessage>(Receive()).request;
    Send(unknown);
  });
  EXPECT_EQ(client_->GroupsOf(1), (std::vector<gid_t>{1, 2}));
  EXPECT_EQ(client_->GroupsOf(2), std::nullopt);
  holder.join();
}

TEST_F(HolderClientTest, HolderDiesWhileSomebodyWaits) {
  Connect();
  client_->Start(events_);
  int result = 0;
  std::thread waiting([&] { result = client_->Touch(MountId(1), "a"); });
  Receive();
  holder_.Reset();
  waiting.join();
  EXPECT_EQ(result, ENOTCONN);
  ASSERT_TRUE(events_.Await(1));
  EXPECT_THAT(events_.Seen(), ElementsAre("gone"));
  EXPECT_EQ(client_->Touch(MountId(1), "a"), ENOTCONN);
  EXPECT_TRUE(absl::IsUnavailable(client_->OpenFile("/a").status()));
}

TEST_F(HolderClientTest, DamagedMessageEndsIt) {
  Connect();
  client_->Start(events_);
  ASSERT_EQ(SendPacket(holder_.get(), "rubbish", {}), SendResult::kSent);
  ASSERT_TRUE(events_.Await(1));
  EXPECT_THAT(events_.Seen(), ElementsAre("gone"));
}

TEST_F(HolderClientTest, ConnectRefusesWhatItDoesNotKnow) {
  std::string other = EncodeMessage(MessageToServer(SetupMessage{}));
  other[4] = 9;
  ASSERT_EQ(SendPacket(holder_.get(), other, {}), SendResult::kSent);
  const absl::Status version = HolderClient::Connect(std::move(server_)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(version)) << version;
  EXPECT_THAT(std::string(version.message()), HasSubstr("version 9"));
}

TEST_F(HolderClientTest, ConnectToADeadHolder) {
  holder_.Reset();
  EXPECT_TRUE(absl::IsUnavailable(HolderClient::Connect(std::move(server_)).status()));
}

}  // namespace
}  // namespace secretfs::fs
