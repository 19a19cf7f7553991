#include "fs/holder/control_listener.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/holder/socket_place.h"

namespace secretfs::fs {
namespace {

constexpr size_t kMostConnections = 32;

OutcomeMessage OutcomeOf(const absl::Status& status) {
  return {.code = static_cast<int32_t>(status.code()), .text = std::string(MessageOf(status))};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlListener>> ControlListener::Make(const std::string& path,
                                                                       PollLoop& loop,
                                                                       Handler handler) {
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd listening, ListenAt(path));
  return std::unique_ptr<ControlListener>(
      new ControlListener(path, std::move(listening), loop, std::move(handler)));
}

ControlListener::ControlListener(std::string path, UniqueFd listening, PollLoop& loop,
                                 Handler handler)
    : path_(std::move(path)),
      listening_(std::move(listening)),
      loop_(loop),
      handler_(std::move(handler)) {
  loop_.Watch(listening_.get(), POLLIN, [this](short) { Accept(); });
}

ControlListener::~ControlListener() {
  // First: whoever sees a connection end finds no socket of ours any more.
  RemoveSocket(path_);
  loop_.Forget(listening_.get());
  while (!connections_.empty()) Close(*connections_.begin());
}

void ControlListener::Accept() {
  auto connection = std::make_shared<UniqueFd>(
      accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection->valid() || connections_.size() >= kMostConnections) return;
  const absl::StatusOr<uid_t> peer = PeerUser(connection->get());
  if (!peer.ok() || (*peer != geteuid() && *peer != 0)) {
    LogLine(LogLevel::kWarning, "refused a control connection of another user");
    const ControlAnswer refusal =
        OutcomeOf(absl::PermissionDeniedError("this holder belongs to another user"));
    SendPacket(connection->get(), EncodeMessage(refusal), {});
    return;
  }
  connections_.insert(connection);
  loop_.Watch(connection->get(), POLLIN, [this, connection](short) { Read(connection); });
}

void ControlListener::Read(const std::shared_ptr<UniqueFd>& connection) {
  Packet packet;
  const ReceiveResult result = ReceivePacket(connection->get(), packet);
  if (result == ReceiveResult::kNothing) return;
  if (result != ReceiveResult::kPacket) {
    Close(connection);
    return;
  }
  const absl::StatusOr<ControlAsk> question =
      DecodeMessage<ControlAsk>(packet.bytes, packet.descriptors.size());
  if (!question.ok()) {
    SendPacket(connection->get(), EncodeMessage(ControlAnswer(OutcomeOf(question.status()))), {});
    Close(connection);
    return;
  }
  handler_(*question, [waiting = std::weak_ptr<UniqueFd>(connection)](const ControlAnswer& answer) {
    const std::shared_ptr<UniqueFd> still_there = waiting.lock();
    if (still_there != nullptr && still_there->valid()) {
      SendPacket(still_there->get(), EncodeMessage(answer), {});
    }
  });
}

void ControlListener::Close(const std::shared_ptr<UniqueFd>& connection) {
  const std::shared_ptr<UniqueFd> kept = connection;
  loop_.Forget(kept->get());
  connections_.erase(kept);
  kept->Reset();
}

}  // namespace secretfs::fs
