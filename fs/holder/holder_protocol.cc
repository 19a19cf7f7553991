#include "fs/holder/holder_protocol.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "fs/holder/wire.h"

namespace secretfs::fs {
namespace {

constexpr uint32_t kMessageMagic = 0x73666864;

// The fields of each message in their order, for both directions: `Message` may be const.
template <typename Wire, typename Message>
void Fields(Wire& wire, Message& m) {
  using M = std::remove_const_t<Message>;
  const auto all = [&](auto&... fields) { (wire(fields), ...); };
  if constexpr (std::is_same_v<M, SetupMessage>) {
    all(m.generation, m.restarts, m.failed_starts, m.crashed_starts, m.is_upgrade, m.use_resend,
        m.hands_thread, m.holder_user, m.has_kept_values, m.has_control, m.use_sandbox, m.readable);
  } else if constexpr (std::is_same_v<M, MountMessage>) {
    all(m.id, m.directory, m.device_number, m.taken_over, m.mounted_at, m.has_lifeline);
  } else if constexpr (std::is_same_v<M, AnswerMessage>) {
    all(m.request, m.error, m.text, m.has_groups, m.groups, m.has_descriptor);
  } else if constexpr (std::is_same_v<M, FailedMessage>) {
    all(m.exit_code, m.text);
  } else if constexpr (std::is_same_v<M, MountEndedMessage>) {
    all(m.id, m.reason);
  } else if constexpr (std::is_same_v<M, EndMountMessage> || std::is_same_v<M, UnmountMessage> ||
                       std::is_same_v<M, MountAnewMessage>) {
    all(m.id);
  } else if constexpr (std::is_same_v<M, HandsMessage>) {
    all(m.request, m.id, m.action, m.path);
  } else if constexpr (std::is_same_v<M, OpenMessage>) {
    all(m.request, m.path, m.watch);
  } else if constexpr (std::is_same_v<M, GroupsMessage>) {
    all(m.request, m.process);
  } else if constexpr (std::is_same_v<M, AskUnmountMessage>) {
    all(m.directory);
  } else if constexpr (std::is_same_v<M, OutcomeMessage>) {
    all(m.code, m.text);
  } else if constexpr (std::is_same_v<M, StatusMessage>) {
    all(m.holder, m.server, m.server_is_ready, m.generation, m.restarts, m.server_started_at,
        m.last_death, m.directories);
  } else {
    static_assert(std::is_empty_v<M>);
  }
}

template <typename Variant>
std::string Encode(const Variant& message) {
  return std::visit(
      [](const auto& part) {
        WireWriter wire;
        wire(kMessageMagic);
        wire(kHolderProtocol);
        wire(part.kType);
        Fields(wire, part);
        return wire.bytes();
      },
      message);
}

// Reads the rest of `wire` as the alternative of that type, the `index`th or a later one.
template <typename Variant, size_t index = 0>
absl::StatusOr<Variant> DecodeAs(uint16_t type, WireReader& wire, size_t descriptors) {
  if constexpr (index == std::variant_size_v<Variant>) {
    return absl::InvalidArgumentError(Format("unknown message {}", type));
  } else {
    using Message = std::variant_alternative_t<index, Variant>;
    if (type != Message::kType) return DecodeAs<Variant, index + 1>(type, wire, descriptors);
    Message message;
    Fields(wire, message);
    if (!wire.Finished()) return absl::InvalidArgumentError(Format("damaged message {}", type));
    if (descriptors != message.Descriptors()) {
      return absl::InvalidArgumentError(Format("message {} came with {} descriptors instead of {}",
                                               type, descriptors, message.Descriptors()));
    }
    return Variant(std::move(message));
  }
}

}  // namespace

std::string EncodeMessage(const MessageToServer& message) { return Encode(message); }
std::string EncodeMessage(const MessageToHolder& message) { return Encode(message); }
std::string EncodeMessage(const ControlAsk& message) { return Encode(message); }
std::string EncodeMessage(const ControlAnswer& message) { return Encode(message); }

template <typename Message>
absl::StatusOr<Message> DecodeMessage(std::string_view bytes, size_t descriptors) {
  WireReader wire(bytes);
  uint32_t magic = 0;
  uint16_t version = 0, type = 0;
  wire(magic);
  wire(version);
  wire(type);
  if (magic != kMessageMagic || version == 0) {
    return absl::InvalidArgumentError("what arrived is no message of the holder's protocol");
  }
  if (version != kHolderProtocol) {
    return absl::FailedPreconditionError(
        Format("the other side speaks version {} of the holder's protocol, this program version {}",
               version, kHolderProtocol));
  }
  return DecodeAs<Message>(type, wire, descriptors);
}

template absl::StatusOr<MessageToServer> DecodeMessage(std::string_view, size_t);
template absl::StatusOr<MessageToHolder> DecodeMessage(std::string_view, size_t);
template absl::StatusOr<ControlAsk> DecodeMessage(std::string_view, size_t);
template absl::StatusOr<ControlAnswer> DecodeMessage(std::string_view, size_t);

SendResult SendPacket(int socket, std::string_view bytes, std::span<const int> descriptors,
                      bool wait) {
  if (bytes.size() > kLongestPacket || descriptors.size() > kMostDescriptors) {
    return SendResult::kGone;  // the other side would give the connection up
  }
  iovec data{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  while (true) {
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    if (sent >= 0) return SendResult::kSent;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: more descriptors are under way than a normal user may have.
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) {
      return SendResult::kFull;
    }
    return SendResult::kGone;
  }
}

ReceiveResult ReceivePacket(int socket, Packet& packet, bool wait) {
  packet = {};
  const int flags = wait ? 0 : MSG_DONTWAIT;
  ssize_t size;
  // How long it is, so that a buffer for the longest need not be kept.
  do {
    size = recv(socket, nullptr, 0, flags | MSG_PEEK | MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return ReceiveResult::kNothing;
  if (size <= 0) return ReceiveResult::kGone;
  packet.bytes.resize(std::min(static_cast<size_t>(size), kLongestPacket));
  iovec data{.iov_base = packet.bytes.data(), .iov_len = packet.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  do {
    size = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return ReceiveResult::kNothing;
  if (size <= 0) return ReceiveResult::kGone;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      packet.descriptors.emplace_back(descriptor);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return ReceiveResult::kDamaged;
  return ReceiveResult::kPacket;
}

absl::StatusOr<uid_t> PeerUser(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::InternalError(Format("SO_PEERCRED: {}", strerror(errno)));
  }
  return credentials.uid;
}

}  // namespace secretfs::fs
