#pragma once

// Answers commands about one mount on a Unix socket. Connections are read and written on the I/O
// thread with a bounded line, a bounded number and a time limit; requests are carried out on two
// threads of its own, because they may wait for the I/O thread (a refresh does).
//
// Only processes of the same user and root are heard (SO_PEERCRED). A connection stays open until
// the other side or the server closes it, so that a client which asked for an unmount sees by the
// end of the connection that all is done.
//
// Thread-safety: Start, FinishRequests and the destructor are called from a thread that is not the
// I/O thread.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/io_thread.h"
#include "base/unique_fd.h"
#include "cli/control/control_protocol.h"

namespace secretfs::cli {

// Whether a process of `peer` may control what a process of `owner` mounted.
bool MayControl(uid_t peer, uid_t owner);

class ControlServer {
 public:
  using Handler = std::function<ControlResponse(const ControlRequest&)>;

  // What Start listens on: for a socket that outlives the server.
  static absl::StatusOr<UniqueFd> Listen(const std::string& path);
  // Serves connections to `listening`, which another process removes in the end. `owner` and root
  // are heard.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Serve(IoThread& io, UniqueFd listening,
                                                              uid_t owner, Handler handler);
  // Listens at `path`, whose directory the caller has checked; replaces what a dead process left
  // there. AlreadyExists when another process answers at it. `io` and what `handler` uses must
  // outlive the server; `handler` is called by two threads at once.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(IoThread& io, std::string path,
                                                              Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Takes no more requests and waits for those under way: `handler` is not called afterwards.
  // Connections stay open until the server is destroyed.
  void FinishRequests();

 private:
  class Impl;
  ControlServer(IoThread& io, std::shared_ptr<Impl> impl);
  IoThread& io_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace secretfs::cli
