#pragma once

// The holder's end of the socket to one server. Sending never waits: what does not fit is kept,
// with duplicates of its descriptors, until Flush. Not thread-safe.

#include <sys/types.h>

#include <deque>
#include <span>

#include "base/unique_fd.h"
#include "fs/holder/holder_protocol.h"

namespace secretfs::fs {

class ServerLink {
 public:
  ServerLink(pid_t process, UniqueFd socket) : process_(process), socket_(std::move(socket)) {}

  pid_t process() const { return process_; }
  int socket() const { return socket_.get(); }
  bool closed() const { return !socket_.valid(); }
  void Close() { socket_.Reset(); }

  // False when the server has taken nothing for so long that it must be taken for broken.
  bool Send(const MessageToServer& message, std::span<const int> descriptors = {});
  bool has_unsent() const { return !unsent_.empty(); }
  void Flush();

 private:
  struct Unsent {
    std::string bytes;
    std::vector<UniqueFd> descriptors;
  };
  pid_t process_;
  UniqueFd socket_;
  std::deque<Unsent> unsent_;
};

}  // namespace secretfs::fs
