#pragma once

// What holder and server, and holder and command line, say to each other: one message a packet of a
// SOCK_SEQPACKET socket, some with descriptors (SCM_RIGHTS). docs/architecture.md shows the order.
//
// Each packet begins with the protocol's version and the message's type. Decoding is strict:
// another version, an unknown type, a byte or a descriptor too many or too few is an error that
// says so, and the connection is given up. Messages are plain values; the functions have no state.

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "fs/holder/holder_client.h"

namespace secretfs::fs {

// Raised by every change: two programs of different versions say so instead of guessing.
inline constexpr uint16_t kHolderProtocol = 3;
inline constexpr size_t kLongestPacket = 64 << 10;
inline constexpr size_t kMostDescriptors = 4;

// --- holder to server ---

struct SetupMessage {
  static constexpr uint16_t kType = 1;
  uint64_t generation = 1;
  uint64_t restarts = 0;
  uint32_t failed_starts = 0, crashed_starts = 0;
  bool is_upgrade = false;
  bool use_resend = true;
  int32_t hands_thread = 0;
  uint32_t holder_user = 0;
  bool has_kept_values = false;
  bool has_control = false;
  // From the holder's own launch: nothing that a server can write says what the next one may do.
  bool use_sandbox = true;
  std::vector<std::string> readable;
  // In this order: payload, journal, kept values, control.
  size_t Descriptors() const { return 2 + (has_kept_values ? 1 : 0) + (has_control ? 1 : 0); }
};
struct MountMessage {
  static constexpr uint16_t kType = 2;
  MountId id;
  std::string directory;
  uint64_t device_number = 0;
  bool taken_over = false;
  WallTime mounted_at;
  bool has_lifeline = false;
  // Device, state, and for a mount with auto_unmount what fusermount3 watches: to be kept open as
  // long as the device, because a mount that is still served when it closes is left there.
  size_t Descriptors() const { return has_lifeline ? 3 : 2; }
};
struct EndMountMessage {
  static constexpr uint16_t kType = 3;
  MountId id;
  size_t Descriptors() const { return 0; }
};
struct HandOverMessage {
  static constexpr uint16_t kType = 4;
  size_t Descriptors() const { return 0; }
};
struct ExitMessage {
  static constexpr uint16_t kType = 5;
  size_t Descriptors() const { return 0; }
};
// To a request of the server, by its number.
struct AnswerMessage {
  static constexpr uint16_t kType = 6;
  uint64_t request = 0;
  int32_t error = 0;  // an errno
  std::string text;   // says more about the error
  bool has_groups = false;
  std::vector<uint32_t> groups;
  bool has_descriptor = false;
  size_t Descriptors() const { return has_descriptor ? 1 : 0; }
};

// --- server to holder ---

struct PreparedMessage {
  static constexpr uint16_t kType = 20;
  size_t Descriptors() const { return 0; }
};
struct ReadyMessage {
  static constexpr uint16_t kType = 21;
  size_t Descriptors() const { return 0; }
};
struct FailedMessage {
  static constexpr uint16_t kType = 22;
  int32_t exit_code = 1;
  std::string text;
  size_t Descriptors() const { return 0; }
};
struct MountEndedMessage {
  static constexpr uint16_t kType = 23;
  MountId id;
  std::string reason;
  size_t Descriptors() const { return 0; }
};
struct HandedOverMessage {
  static constexpr uint16_t kType = 24;
  size_t Descriptors() const { return 0; }
};
struct UnmountMessage {
  static constexpr uint16_t kType = 25;
  MountId id;
  size_t Descriptors() const { return 0; }
};
struct MountAnewMessage {
  static constexpr uint16_t kType = 26;
  MountId id;
  size_t Descriptors() const { return 0; }
};
// What the holder's hands do through a mount.
struct HandsMessage {
  static constexpr uint16_t kType = 27;
  enum Action : uint8_t { kSwitchData, kTouch, kLookUpAgain };
  uint64_t request = 0;
  MountId id;
  uint8_t action = kTouch;
  std::string path;  // the target, for kSwitchData
  size_t Descriptors() const { return 0; }
};
struct OpenMessage {
  static constexpr uint16_t kType = 28;
  uint64_t request = 0;
  std::string path;
  bool watch = false;  // events about it instead: FileWatches
  size_t Descriptors() const { return 0; }
};
struct GroupsMessage {
  static constexpr uint16_t kType = 29;
  uint64_t request = 0;
  int32_t process = 0;
  size_t Descriptors() const { return 0; }
};

// --- command line and holder ---

struct AskStatusMessage {
  static constexpr uint16_t kType = 40;
  size_t Descriptors() const { return 0; }
};
struct AskUnmountMessage {
  static constexpr uint16_t kType = 41;
  std::string directory;
  size_t Descriptors() const { return 0; }
};
struct AskUpgradeMessage {
  static constexpr uint16_t kType = 42;
  size_t Descriptors() const { return 0; }
};
struct OutcomeMessage {
  static constexpr uint16_t kType = 43;
  int32_t code = 0;  // absl::StatusCode
  std::string text;
  size_t Descriptors() const { return 0; }
};
struct StatusMessage {
  static constexpr uint16_t kType = 44;
  int32_t holder = 0, server = 0;
  bool server_is_ready = false;
  uint64_t generation = 0, restarts = 0;
  WallTime server_started_at;
  std::string last_death;
  std::vector<std::string> directories;
  size_t Descriptors() const { return 0; }
};

// What each side may receive.
using MessageToServer = std::variant<SetupMessage, MountMessage, EndMountMessage, HandOverMessage,
                                     ExitMessage, AnswerMessage>;
using MessageToHolder =
    std::variant<PreparedMessage, ReadyMessage, FailedMessage, MountEndedMessage, HandedOverMessage,
                 UnmountMessage, MountAnewMessage, HandsMessage, OpenMessage, GroupsMessage>;
using ControlAsk = std::variant<AskStatusMessage, AskUnmountMessage, AskUpgradeMessage>;
using ControlAnswer = std::variant<OutcomeMessage, StatusMessage>;

std::string EncodeMessage(const MessageToServer& message);
std::string EncodeMessage(const MessageToHolder& message);
std::string EncodeMessage(const ControlAsk& message);
std::string EncodeMessage(const ControlAnswer& message);

// `Message` is one of the four variants. FailedPrecondition for another version, InvalidArgument
// for everything else that is wrong; `descriptors` is how many came with it.
template <typename Message>
absl::StatusOr<Message> DecodeMessage(std::string_view bytes, size_t descriptors);

// A packet as it comes from the socket.
struct Packet {
  std::string bytes;
  std::vector<UniqueFd> descriptors;
};

enum class SendResult { kSent, kFull, kGone };
// Never waits, unless `wait`. kFull: later perhaps. `descriptors` stay the caller's.
SendResult SendPacket(int socket, std::string_view bytes, std::span<const int> descriptors,
                      bool wait = false);

enum class ReceiveResult { kPacket, kNothing, kGone, kDamaged };
// Never waits, unless `wait`. kDamaged: too long, or its descriptors did not fit.
ReceiveResult ReceivePacket(int socket, Packet& packet, bool wait = false);

// The user at the other end (SO_PEERCRED).
absl::StatusOr<uid_t> PeerUser(int socket);

}  // namespace secretfs::fs
