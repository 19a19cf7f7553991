#pragma once

// Records inotify events of some paths as text: "MOVED_TO ..data", "MODIFY". Waits are bounded.
// Not thread-safe.

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs::fs {

class InotifyLog {
 public:
  InotifyLog() : descriptor_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

  // Watches `path` (following links) under the name `label`. False if that fails.
  bool Watch(const std::string& path, const std::string& label,
             uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                             IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) {
    const int watch = inotify_add_watch(descriptor_.get(), path.c_str(), mask);
    if (watch < 0) return false;
    labels_[watch] = label;
    return true;
  }

  // Reads events until `text` ("label: MODIFY name") came or the time is over.
  bool Await(const std::string& text,
             std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (true) {
      for (; checked_ < events_.size(); ++checked_) {
        if (events_[checked_] == text) {
          ++checked_;
          return true;
        }
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd waited{.fd = descriptor_.get(), .events = POLLIN, .revents = 0};
      if (poll(&waited, 1, static_cast<int>(left.count())) > 0) ReadEvents();
    }
  }

  const std::vector<std::string>& events() const { return events_; }

 private:
  void ReadEvents() {
    alignas(inotify_event) char buffer[65536];
    const ssize_t size = read(descriptor_.get(), buffer, sizeof(buffer));
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      events_.push_back(labels_[event->wd] + ": " + NameOf(event->mask) +
                        (event->len != 0 ? std::string(" ") + event->name : ""));
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }

  static std::string NameOf(uint32_t mask) {
    static constexpr std::pair<uint32_t, const char*> kNames[] = {
        {IN_CREATE, "CREATE"},     {IN_DELETE, "DELETE"},           {IN_MOVED_FROM, "MOVED_FROM"},
        {IN_MOVED_TO, "MOVED_TO"}, {IN_MODIFY, "MODIFY"},           {IN_CLOSE_WRITE, "CLOSE_WRITE"},
        {IN_ATTRIB, "ATTRIB"},     {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
        {IN_IGNORED, "IGNORED"},   {IN_UNMOUNT, "UNMOUNT"},         {IN_Q_OVERFLOW, "OVERFLOW"}};
    for (const auto& [bit, name] : kNames) {
      if ((mask & bit) != 0) return name;
    }
    return "OTHER";
  }

  UniqueFd descriptor_;
  std::map<int, std::string> labels_;
  std::vector<std::string> events_;
  size_t checked_ = 0;
};

}  // namespace secretfs::fs
