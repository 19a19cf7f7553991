#pragma once

// What a server writes to its stdout and stderr: the holder reads it from a pipe and writes whole
// lines to its own stderr (a terminal, a log file, the journal), so that a server has no descriptor
// of any of these. Characters that steer a terminal are replaced, and lines are bounded. Lines that
// nobody takes at the moment are dropped: the holder waits for no terminal.
//
// Not thread-safe.

#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace secretfs::fs {

class ServerOutput {
 public:
  // `pipe` is the reading end, non-blocking.
  explicit ServerOutput(UniqueFd pipe) : pipe_(std::move(pipe)) {}

  int descriptor() const { return pipe_.get(); }

  // Writes what has come, a bounded part of it. False when nobody can write any more.
  bool PassOn();
  // When the server is dead: all that it wrote.
  void PassOnRest();

 private:
  enum class Result { kMore, kNothing, kEnd };
  Result ReadOnce();
  void WriteLines();

  UniqueFd pipe_;
  std::string unfinished_;  // what has no end of line yet
};

}  // namespace secretfs::fs
