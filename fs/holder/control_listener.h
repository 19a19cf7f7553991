#pragma once

// The holder's end of holder_control.h: a socket on which commands ask, each on a connection of its
// own. Only processes of the holder's own user and root are heard (SO_PEERCRED). Nothing waits: an
// answer may come long after the question. Not thread-safe.

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "fs/holder/holder_protocol.h"
#include "fs/holder/poll_loop.h"

namespace secretfs::fs {

class ControlListener {
 public:
  using Answer = std::function<void(const ControlAnswer&)>;
  using Handler = std::function<void(const ControlAsk& question, Answer answer)>;

  // Listens at `path` (see ListenAt). `loop` and what `handler` uses outlive it.
  static absl::StatusOr<std::unique_ptr<ControlListener>> Make(const std::string& path,
                                                               PollLoop& loop, Handler handler);
  // Closes all connections, and removes the socket.
  ~ControlListener();
  ControlListener(const ControlListener&) = delete;
  ControlListener& operator=(const ControlListener&) = delete;

 private:
  ControlListener(std::string path, UniqueFd listening, PollLoop& loop, Handler handler);
  void Accept();
  void Read(const std::shared_ptr<UniqueFd>& connection);
  void Close(const std::shared_ptr<UniqueFd>& connection);

  const std::string path_;
  UniqueFd listening_;
  PollLoop& loop_;
  const Handler handler_;
  std::set<std::shared_ptr<UniqueFd>> connections_;
};

}  // namespace secretfs::fs
