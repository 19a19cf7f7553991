#pragma once

// A program on a pseudo-terminal of its own, as a person has it: what it shows, and typing into it.
// Every wait is bounded. Not thread-safe.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs::testing {

class TerminalSession {
 public:
  explicit TerminalSession(std::vector<std::string> command);
  ~TerminalSession();
  TerminalSession(const TerminalSession&) = delete;
  TerminalSession& operator=(const TerminalSession&) = delete;

  // True as soon as `text` was shown; `from`: behind that much of the screen.
  bool WaitFor(const std::string& text, size_t from = 0,
               std::chrono::milliseconds limit = std::chrono::seconds(20));
  void Type(const std::string& text);
  // The exit code, or nothing when it still runs after `limit`.
  std::optional<int> Wait(std::chrono::milliseconds limit = std::chrono::seconds(20));

  // Everything that the terminal showed, echo included.
  const std::string& screen() const { return screen_; }

 private:
  bool Pump(std::chrono::milliseconds limit);

  pid_t pid_ = -1;
  UniqueFd terminal_;
  std::string screen_;
  bool ended_ = false;
};

}  // namespace secretfs::testing
