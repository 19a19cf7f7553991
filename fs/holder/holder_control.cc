#include "fs/holder/holder_control.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "fs/holder/holder_protocol.h"
#include "fs/holder/socket_place.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The holder bounds what it does; these are for a holder that hangs.
constexpr seconds kStatusPatience{5};
constexpr seconds kUnmountPatience{15};
constexpr seconds kUpgradePatience{600};

bool WaitReadable(int socket, milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (true) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    pollfd waited{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = poll(&waited, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

absl::StatusOr<ControlAnswer> Ask(const std::string& holder_path, const ControlAsk& question,
                                  milliseconds patience) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectTo(holder_path));
  SECRETFS_ASSIGN_OR_RETURN(const uid_t peer, PeerUser(socket.get()));
  if (peer != geteuid() && peer != 0) {
    return absl::PermissionDeniedError(
        Format("{} is answered by a process of user {}", holder_path, peer));
  }
  Packet packet;
  if (SendPacket(socket.get(), EncodeMessage(question), {}) != SendResult::kSent) {
    return absl::UnavailableError(Format("the holder at {} takes no requests", holder_path));
  }
  if (!WaitReadable(socket.get(), patience)) {
    return absl::DeadlineExceededError(Format("the holder at {} did not answer", holder_path));
  }
  if (ReceivePacket(socket.get(), packet) != ReceiveResult::kPacket) {
    return absl::UnavailableError(Format("the holder at {} ended meanwhile", holder_path));
  }
  return DecodeMessage<ControlAnswer>(packet.bytes, packet.descriptors.size());
}

absl::Status OutcomeOf(const absl::StatusOr<ControlAnswer>& answer) {
  if (!answer.ok()) return answer.status();
  const auto* outcome = std::get_if<OutcomeMessage>(&*answer);
  if (outcome == nullptr) return absl::InternalError("the holder answered something else");
  return absl::Status(static_cast<absl::StatusCode>(outcome->code), outcome->text);
}

}  // namespace

absl::StatusOr<HolderStatus> AskHolder(const std::string& holder_path) {
  absl::StatusOr<ControlAnswer> answer = Ask(holder_path, AskStatusMessage{}, kStatusPatience);
  if (!answer.ok()) return answer.status();
  auto* message = std::get_if<StatusMessage>(&*answer);
  if (message == nullptr) {
    const absl::Status outcome = OutcomeOf(answer);
    return outcome.ok() ? absl::InternalError("the holder answered something else") : outcome;
  }
  HolderStatus status;
  status.holder = message->holder;
  status.server = message->server;
  status.server_is_ready = message->server_is_ready;
  status.generation = message->generation;
  status.restarts = message->restarts;
  status.server_started_at = message->server_started_at;
  status.last_death = std::move(message->last_death);
  status.directories = std::move(message->directories);
  return status;
}

absl::Status UnmountThroughHolder(const std::string& holder_path, const std::string& directory) {
  return OutcomeOf(Ask(holder_path, AskUnmountMessage{.directory = directory}, kUnmountPatience));
}

absl::Status UpgradeThroughHolder(const std::string& holder_path) {
  return OutcomeOf(Ask(holder_path, AskUpgradeMessage{}, kUpgradePatience));
}

}  // namespace secretfs::fs
