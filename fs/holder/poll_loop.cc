#include "fs/holder/poll_loop.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace secretfs::fs {
namespace {

// Rounded up: a deadline that is woken for early is waited for again, busily.
int Milliseconds(std::optional<Duration> limit) {
  if (!limit.has_value()) return -1;
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*limit).count();
  return static_cast<int>(std::clamp<int64_t>(rounded, 0, 3'600'000));
}

}  // namespace

void PollLoop::Watch(int descriptor, short events, Function function) {
  watched_[descriptor] = {++last_serial_, events, std::move(function)};
}

void PollLoop::RunOnce(std::optional<Duration> limit) {
  std::vector<pollfd> waits;
  std::vector<uint64_t> serials;
  for (const auto& [descriptor, watched] : watched_) {
    waits.push_back({.fd = descriptor, .events = watched.events, .revents = 0});
    serials.push_back(watched.serial);
  }
  if (poll(waits.data(), waits.size(), Milliseconds(limit)) <= 0) return;
  for (size_t i = 0; i < waits.size(); ++i) {
    if (waits[i].revents == 0) continue;
    const auto entry = watched_.find(waits[i].fd);
    if (entry == watched_.end() || entry->second.serial != serials[i]) continue;
    // A copy: the function may forget itself.
    const Function function = entry->second.function;
    function(waits[i].revents);
  }
}

}  // namespace secretfs::fs
