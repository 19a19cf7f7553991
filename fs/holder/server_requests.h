#pragma once

// What the holder does because a server asks for it: touching mounts (the "hands", a thread of its
// own that the mounts know by its id), opening listed files (another thread), and finding out the
// groups of a process.
//
// Thread-safety: the loop's thread only; answers are given on it too.

#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fs/holder/allowed_files.h"
#include "fs/holder/file_watches.h"
#include "fs/holder/held_mount.h"
#include "fs/holder/holder_protocol.h"
#include "fs/holder/poll_loop.h"
#include "fs/holder/worker_thread.h"

namespace secretfs::fs {

class ServerRequests {
 public:
  // The descriptors are only lent.
  using Answer = std::function<void(const AnswerMessage&, std::span<const int> descriptors)>;

  // `loop` outlives it.
  ServerRequests(const std::vector<std::string>& openable, PollLoop& loop);

  pid_t hands_thread() const { return hands_.thread_id(); }

  // `mount` is null when there is none of that number.
  void Act(const HandsMessage& message, const HeldMount* mount, Answer answer);
  void Open(const OpenMessage& message, const Answer& answer);
  void FindGroups(const GroupsMessage& message, const Answer& answer);

 private:
  void OpenFile(const OpenMessage& message, Answer answer);
  void WatchFile(const OpenMessage& message, Answer answer);

  const AllowedFiles allowed_files_;
  FileWatches watches_;
  WorkerThread hands_;
  WorkerThread files_;
};

}  // namespace secretfs::fs
