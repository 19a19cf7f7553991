#include "cli/signal_events.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/text.h"

namespace secretfs::cli {

absl::StatusOr<SignalEvents> SignalEvents::Make(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  SignalEvents events;
  if (sigprocmask(SIG_BLOCK, &set, &events.original_mask_) == 0) {
    events.signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  events.notifications_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!events.signals_.valid() || !events.notifications_.valid()) {
    return absl::FailedPreconditionError(Format("cannot wait for signals ({})", strerror(errno)));
  }
  return events;
}

SignalEvents::Event SignalEvents::Wait(int limit_ms) {
  pollfd waits[2] = {{signals_.get(), POLLIN, 0}, {notifications_.get(), POLLIN, 0}};
  Event event;
  if (poll(waits, 2, limit_ms) <= 0) return event;
  signalfd_siginfo info{};
  if (waits[0].revents != 0 && read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    event.signal = info;
  }
  uint64_t count = 0;
  event.notified =
      waits[1].revents != 0 && read(notifications_.get(), &count, sizeof(count)) == sizeof(count);
  return event;
}

void SignalEvents::Notify() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = write(notifications_.get(), &one, sizeof(one));
}

}  // namespace secretfs::cli
