#pragma once

// A program under test: started with pipes, read line by line, every wait bounded, ended by its own
// pid. Not thread-safe.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs::testing {

struct ChildOptions {
  std::map<std::string, std::string> environment = {};  // added to ours
  std::string input = {};                               // written to stdin, which is then closed
  bool keep_input_open = false;                         // stdin stays open until CloseInput
  bool without_terminal = false;                        // in a session of its own
};

class ChildProcess {
 public:
  // Starts `command` (found on PATH). Aborts the test program if it cannot be started.
  explicit ChildProcess(std::vector<std::string> command, ChildOptions options = {});
  // Ends it with SIGTERM, and SIGKILL after five seconds.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  void CloseInput() { input_.Reset(); }
  // All of `text` to stdin, which is kept open. False when the program does not read it any more.
  bool WriteInput(std::string_view text);

  // The next line of stdout for which `wanted` is true (others are passed over); nothing when the
  // time is up or the output ends.
  std::optional<std::string> WaitForLine(const std::function<bool(const std::string&)>& wanted,
                                         std::chrono::milliseconds limit);
  std::optional<std::string> WaitForLine(const std::string& part, std::chrono::milliseconds limit);

  // The exit code (128 + signal for a signal), or nothing when it still runs after `limit`. Reads
  // the rest of the output meanwhile.
  std::optional<int> Wait(std::chrono::milliseconds limit);

  // After Wait: whether the kernel wrote a core dump.
  bool core_dumped() const { return core_dumped_; }

  const std::string& output() const { return output_; }  // all of stdout read so far
  const std::string& errors() const { return errors_; }  // all of stderr read so far

 private:
  // Reads what is there, for at most `limit`; false when both streams ended.
  bool Pump(std::chrono::milliseconds limit);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  bool core_dumped_ = false;
  UniqueFd input_, output_end_, errors_end_;
  std::string output_, errors_;
  size_t line_start_ = 0;
};

struct Finished {
  int exit_code = -1;
  std::string output, errors;
};

// Runs `command` to its end, at most 60 s.
Finished Run(std::vector<std::string> command, ChildOptions options = {});

}  // namespace secretfs::testing
