#include "fs/holder/server_link.h"

#include <fcntl.h>

#include <utility>

namespace secretfs::fs {
namespace {

// A mount is one; a node has thousands of them at most.
constexpr size_t kMostUnsent = 20'000;

}  // namespace

bool ServerLink::Send(const MessageToServer& message, std::span<const int> descriptors) {
  if (closed()) return true;
  std::string bytes = EncodeMessage(message);
  if (unsent_.empty() && SendPacket(socket_.get(), bytes, descriptors) != SendResult::kFull) {
    return true;  // sent, or nobody is there any more: its death is on the way
  }
  Unsent unsent{.bytes = std::move(bytes), .descriptors = {}};
  for (const int descriptor : descriptors) {
    unsent.descriptors.emplace_back(fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
    if (!unsent.descriptors.back().valid()) return false;
  }
  unsent_.push_back(std::move(unsent));
  return unsent_.size() <= kMostUnsent;
}

void ServerLink::Flush() {
  while (!unsent_.empty()) {
    std::vector<int> descriptors;
    for (const UniqueFd& descriptor : unsent_.front().descriptors) {
      descriptors.push_back(descriptor.get());
    }
    if (SendPacket(socket_.get(), unsent_.front().bytes, descriptors) == SendResult::kFull) return;
    unsent_.pop_front();
  }
}

}  // namespace secretfs::fs
