// Messages and launches survive the way there, and nothing else is taken for one.

#include "fs/holder/holder_protocol.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/holder/holder_launch.h"
#include "fs/holder/wire.h"

namespace secretfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Ends {
  UniqueFd a, b;
  Ends() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) abort();
    a.Reset(ends[0]);
    b.Reset(ends[1]);
  }
};

template <typename Message, typename Variant>
Message There(const Variant& message, size_t descriptors = 0) {
  const absl::StatusOr<Variant> decoded =
      DecodeMessage<Variant>(EncodeMessage(message), descriptors);
  EXPECT_TRUE(decoded.ok()) << decoded.status();
  return decoded.ok() ? std::get<Message>(*decoded) : Message{};
}

TEST(HolderProtocol, MessagesArriveWhole) {
  SetupMessage setup;
  setup.generation = 7;
  setup.restarts = 6;
  setup.is_upgrade = true;
  setup.use_resend = false;
  setup.hands_thread = 4711;
  setup.holder_user = 1000;
  setup.has_control = true;
  setup.use_sandbox = false;
  setup.readable = {"/a", "/b"};
  const auto setup_there = There<SetupMessage>(MessageToServer(setup), 3);
  EXPECT_EQ(setup_there.generation, 7u);
  EXPECT_EQ(setup_there.restarts, 6u);
  EXPECT_TRUE(setup_there.is_upgrade);
  EXPECT_FALSE(setup_there.use_resend);
  EXPECT_EQ(setup_there.hands_thread, 4711);
  EXPECT_EQ(setup_there.holder_user, 1000u);
  EXPECT_TRUE(setup_there.has_control);
  EXPECT_FALSE(setup_there.has_kept_values);
  EXPECT_FALSE(setup_there.use_sandbox);
  EXPECT_EQ(setup_there.readable, setup.readable);

  MountMessage mount;
  mount.id = MountId(3);
  mount.directory = "/päth with spaces";
  mount.device_number = 0x1234567890;
  mount.taken_over = true;
  mount.mounted_at = WallTime(std::chrono::nanoseconds(1'800'000'000'123'456'789));
  const auto mount_there = There<MountMessage>(MessageToServer(mount), 2);
  EXPECT_EQ(mount_there.id, mount.id);
  EXPECT_EQ(mount_there.directory, mount.directory);
  EXPECT_EQ(mount_there.device_number, mount.device_number);
  EXPECT_TRUE(mount_there.taken_over);
  EXPECT_EQ(mount_there.mounted_at, mount.mounted_at);

  AnswerMessage answer;
  answer.request = 9;
  answer.error = EACCES;
  answer.text = "no";
  answer.has_groups = true;
  answer.groups = {4, 24, 4'294'967'295};
  const auto answer_there = There<AnswerMessage>(MessageToServer(answer));
  EXPECT_EQ(answer_there.error, EACCES);
  EXPECT_EQ(answer_there.text, "no");
  EXPECT_THAT(answer_there.groups, ElementsAre(4, 24, 4'294'967'295));

  const auto hands = There<HandsMessage>(MessageToHolder(HandsMessage{
      .request = 1, .id = MountId(2), .action = HandsMessage::kSwitchData, .path = "..x"}));
  EXPECT_EQ(hands.action, HandsMessage::kSwitchData);
  EXPECT_EQ(hands.path, "..x");
  const auto failed =
      There<FailedMessage>(MessageToHolder(FailedMessage{.exit_code = -1, .text = "why"}));
  EXPECT_EQ(failed.exit_code, -1);
  EXPECT_EQ(There<AskUnmountMessage>(ControlAsk(AskUnmountMessage{.directory = "/a"})).directory,
            "/a");
  StatusMessage status;
  status.directories = {"/a", "/b"};
  status.last_death = "was killed by signal 9";
  const auto status_there = There<StatusMessage>(ControlAnswer(status));
  EXPECT_THAT(status_there.directories, ElementsAre("/a", "/b"));
  EXPECT_EQ(status_there.last_death, status.last_death);
}

TEST(HolderProtocol, EveryTruncationAndEveryAdditionIsDamage) {
  MountMessage mount;
  mount.directory = "/a";
  const std::string whole = EncodeMessage(MessageToServer(mount));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeMessage<MessageToServer>(whole.substr(0, size), 2).ok()) << size;
  }
  EXPECT_FALSE(DecodeMessage<MessageToServer>(whole + "x", 2).ok());
  EXPECT_TRUE(DecodeMessage<MessageToServer>(whole, 2).ok());
}

// No byte that was changed crashes anything; sanitizers watch.
TEST(HolderProtocol, ChangedBytes) {
  AnswerMessage answer;
  answer.text = "text";
  answer.has_groups = true;
  answer.groups = {1, 2, 3};
  const std::string whole = EncodeMessage(MessageToServer(answer));
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int byte : {0, 1, 2, 0x7f, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(byte);
      (void)DecodeMessage<MessageToServer>(changed, 0);
    }
  }
}

TEST(HolderProtocol, SaysWhatIsWrong) {
  std::string bytes = EncodeMessage(MessageToServer(ExitMessage{}));
  std::string other_version = bytes;
  other_version[4] = kHolderProtocol + 1;
  const absl::Status version = DecodeMessage<MessageToServer>(other_version, 0).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(version));
  EXPECT_THAT(std::string(version.message()), HasSubstr(Format("version {}", kHolderProtocol)));
  EXPECT_THAT(std::string(version.message()), HasSubstr(Format("version {}", kHolderProtocol + 1)));

  // A message of the other direction is as unknown as any other.
  const absl::Status unknown =
      DecodeMessage<MessageToServer>(EncodeMessage(MessageToHolder(ReadyMessage{})), 0).status();
  EXPECT_TRUE(absl::IsInvalidArgument(unknown));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("unknown message 21"));

  EXPECT_THAT(std::string(DecodeMessage<MessageToServer>(bytes, 1).status().message()),
              HasSubstr("came with 1 descriptors instead of 0"));
  EXPECT_THAT(std::string(DecodeMessage<MessageToServer>("GET / HTTP/1.1", 0).status().message()),
              HasSubstr("no message of the holder's protocol"));
}

TEST(HolderProtocol, TextWithANullByteIsRefused) {
  const std::string bytes =
      EncodeMessage(ControlAsk(AskUnmountMessage{.directory = std::string("/a\0b", 4)}));
  EXPECT_FALSE(DecodeMessage<ControlAsk>(bytes, 0).ok());
}

TEST(HolderSocket, DescriptorsArriveAndLeakNowhere) {
  Ends ends;
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]), write_end(pipe_ends[1]);
  const int sent[] = {write_end.get()};
  EXPECT_EQ(SendPacket(ends.a.get(), "message", sent), SendResult::kSent);
  write_end.Reset();
  {
    Packet packet;
    ASSERT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kPacket);
    EXPECT_EQ(packet.bytes, "message");
    ASSERT_EQ(packet.descriptors.size(), 1u);
    EXPECT_NE(fcntl(packet.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(write(packet.descriptors[0].get(), "x", 1), 1);
  }
  char byte;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 1);
  EXPECT_EQ(read(read_end.get(), &byte, 1), 0);  // nobody has the other end any more
}

TEST(HolderSocket, TooManyDescriptorsAreDamage) {
  Ends ends;
  char control[CMSG_SPACE(6 * sizeof(int))] = {};
  iovec data{.iov_base = control, .iov_len = 1};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(6 * sizeof(int));
  for (int i = 0; i < 6; ++i) memset(CMSG_DATA(part) + i * sizeof(int), 0, sizeof(int));
  ASSERT_EQ(sendmsg(ends.a.get(), &message, 0), 1);
  Packet packet;
  EXPECT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kDamaged);
}

TEST(HolderSocket, TooLongIsDamage) {
  Ends ends;
  const std::string longest(kLongestPacket, 'x');
  EXPECT_EQ(SendPacket(ends.a.get(), longest, {}), SendResult::kSent);
  EXPECT_EQ(SendPacket(ends.a.get(), longest + "x", {}), SendResult::kGone);
  ASSERT_EQ(send(ends.a.get(), (longest + "x").data(), longest.size() + 1, 0),
            static_cast<ssize_t>(longest.size() + 1));
  Packet packet;
  EXPECT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kPacket);
  EXPECT_EQ(packet.bytes.size(), kLongestPacket);
  EXPECT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kDamaged);
  EXPECT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kNothing);
  ends.a.Reset();
  EXPECT_EQ(ReceivePacket(ends.b.get(), packet), ReceiveResult::kGone);
}

TEST(HolderSocket, FullSocketIsNotWaitedFor) {
  Ends ends;
  SendResult result = SendResult::kSent;
  for (int i = 0; i < 100'000 && result == SendResult::kSent; ++i) {
    result = SendPacket(ends.a.get(), "message", {});
  }
  EXPECT_EQ(result, SendResult::kFull);
  ends.b.Reset();
  EXPECT_EQ(SendPacket(ends.a.get(), "message", {}), SendResult::kGone);
}

TEST(HolderLaunch, ArrivesWhole) {
  HolderLaunch launch;
  launch.mounts = {{.directory = "/a", .source = "b", .allow_other = true, .auto_unmount = false},
                   {.directory = "/c", .source = "d", .allow_other = false, .auto_unmount = true}};
  launch.server_arguments = {"/usr/bin/secretfs", "serve"};
  launch.server_user = 123;
  launch.server_group = 456;
  launch.use_sandbox = false;
  launch.openable = {"/x", "/y"};
  launch.server_timeout = std::chrono::milliseconds(1500);
  launch.keep_values = false;
  launch.kept_bytes = 12345;
  launch.use_resend = false;
  launch.upgrade_on_hangup = false;
  launch.ends_without_mounts = false;
  launch.log_level = "debug";
  launch.log_json = true;
  launch.payload = 10;
  launch.control = 11;
  launch.report = 12;
  launch.log = 13;
  launch.control_path = "/run/c";
  launch.holder_path = "/run/h";
  const absl::StatusOr<UniqueFd> memory = WriteHolderLaunch(launch);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(fcntl(memory->get(), F_GETFD) & FD_CLOEXEC, 0);
  const absl::StatusOr<HolderLaunch> read = ReadHolderLaunch(memory->get());
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->mounts.size(), 2u);
  EXPECT_EQ(read->mounts[0].directory, "/a");
  EXPECT_TRUE(read->mounts[0].allow_other);
  EXPECT_EQ(read->mounts[1].source, "d");
  EXPECT_TRUE(read->mounts[1].auto_unmount);
  EXPECT_EQ(read->server_arguments, launch.server_arguments);
  EXPECT_EQ(read->server_user, launch.server_user);
  EXPECT_EQ(read->server_group, launch.server_group);
  EXPECT_FALSE(read->use_sandbox);
  EXPECT_EQ(read->openable, launch.openable);
  EXPECT_EQ(read->server_timeout, launch.server_timeout);
  EXPECT_FALSE(read->keep_values);
  EXPECT_EQ(read->kept_bytes, launch.kept_bytes);
  EXPECT_FALSE(read->use_resend);
  EXPECT_FALSE(read->upgrade_on_hangup);
  EXPECT_FALSE(read->ends_without_mounts);
  EXPECT_EQ(read->log_level, "debug");
  EXPECT_TRUE(read->log_json);
  EXPECT_EQ(read->payload, 10);
  EXPECT_EQ(read->control, 11);
  EXPECT_EQ(read->report, 12);
  EXPECT_EQ(read->log, 13);
  EXPECT_EQ(read->control_path, "/run/c");
  EXPECT_EQ(read->holder_path, "/run/h");
}

TEST(HolderLaunch, WithoutAUser) {
  HolderLaunch launch;
  launch.server_arguments = {"/usr/bin/secretfs"};
  const absl::StatusOr<UniqueFd> memory = WriteHolderLaunch(launch);
  ASSERT_TRUE(memory.ok());
  const absl::StatusOr<HolderLaunch> read = ReadHolderLaunch(memory->get());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->server_user, std::nullopt);
}

TEST(HolderLaunch, WhatIsNone) {
  HolderLaunch relative;
  relative.server_arguments = {"secretfs"};
  const absl::StatusOr<UniqueFd> memory = WriteHolderLaunch(relative);
  EXPECT_THAT(std::string(ReadHolderLaunch(memory->get()).status().message()),
              HasSubstr("absolute path"));
  HolderLaunch long_list;
  long_list.server_arguments = {"/usr/bin/secretfs"};
  long_list.openable.assign(1000, "/" + std::string(100, 'x'));
  const absl::StatusOr<UniqueFd> too_long = WriteHolderLaunch(long_list);
  ASSERT_TRUE(too_long.ok());
  EXPECT_THAT(std::string(ReadHolderLaunch(too_long->get()).status().message()),
              HasSubstr("name their folders"));
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd read_end(pipe_ends[0]), write_end(pipe_ends[1]);
  EXPECT_FALSE(ReadHolderLaunch(read_end.get()).ok());
  EXPECT_FALSE(ReadHolderLaunch(-1).ok());
  const UniqueFd wrong(memfd_create("wrong", MFD_CLOEXEC));
  ASSERT_EQ(write(wrong.get(), "something else", 14), 14);
  EXPECT_FALSE(ReadHolderLaunch(wrong.get()).ok());
}

}  // namespace
}  // namespace secretfs::fs
