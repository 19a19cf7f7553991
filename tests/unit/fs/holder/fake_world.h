#pragma once

// A world for the holder's state machine: servers are numbers, mounts are names, time is turned by
// hand, and all that the holder asks for is written down.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fs/holder/holder.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::fs {

class FakeWorld final : public HolderWorld {
 public:
  absl::StatusOr<pid_t> StartServer(const ServerStart& start) override {
    Note(Format("start {}{}{}", start.number.value(), start.is_upgrade ? " upgrade" : "",
                start.proven ? " proven" : ""));
    if (!start_error.ok()) return start_error;
    last_server = start.number;
    return static_cast<pid_t>(1000 + start.number.value());
  }
  void Send(ServerNumber server, const MessageToServer& message) override {
    std::string what = "?";
    if (const auto* end = std::get_if<EndMountMessage>(&message)) {
      what = Format("end mount {}", end->id.value());
    } else if (std::holds_alternative<HandOverMessage>(message)) {
      what = "hand over";
    } else if (std::holds_alternative<ExitMessage>(message)) {
      what = "exit";
    }
    Note(Format("to {}: {}", server.value(), what));
  }
  void GiveMount(ServerNumber server, MountId id, const HeldMount& mount,
                 bool taken_over) override {
    Note(Format("to {}: mount {} {}{}", server.value(), id.value(), mount.fuse.directory,
                taken_over ? " taken over" : ""));
  }
  void Kill(ServerNumber server) override { Note(Format("kill {}", server.value())); }
  void ServerIsReady(ServerNumber server, bool first) override {
    Note(Format("ready {}{}", server.value(), first ? " first" : ""));
  }
  absl::StatusOr<HeldMount> Mount(const MountOptions& options) override {
    Note(Format("mount {}", options.directory));
    if (!mount_error.ok()) return mount_error;
    HeldMount held;
    held.options = options;
    held.fuse.directory = options.directory;
    return held;
  }
  absl::Status Unmount(const HeldMount& mount) override {
    Note(Format("unmount {}", mount.fuse.directory));
    return unmount_error;
  }
  bool Abort(const HeldMount& mount) override {
    Note(Format("abort {}", mount.fuse.directory));
    return can_abort;
  }
  void PrintError(std::string_view text) override { Note(Format("error: {}", text)); }

  // What happened since the last call.
  std::vector<std::string> Take() { return std::exchange(happened_, {}); }

  absl::Status start_error, mount_error, unmount_error;
  bool can_abort = true;
  ServerNumber last_server;

 private:
  void Note(std::string text) { happened_.push_back(std::move(text)); }
  std::vector<std::string> happened_;
};

}  // namespace secretfs::fs
