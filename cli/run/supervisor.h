#pragma once

// Runs one program with secrets in its environment: passes signals on, reaps what ends (also
// orphans, for a container where this is process 1), reacts to changed values, and ends with the
// program's exit code. Main thread; nothing else in the process may wait for children.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/run/environment_block.h"
#include "cli/run/reaction.h"
#include "cli/run/run_values.h"
#include "cli/signal_events.h"

namespace secretfs::cli {

struct SupervisorOptions {
  std::vector<std::string> command;
  // What our caller left open (base/descriptors.h): the program gets that and nothing of ours.
  std::vector<int> inherited;
  Reaction reaction;
  // From SIGTERM to SIGKILL when restarting.
  std::chrono::milliseconds stop_timeout = std::chrono::seconds(10);
};

class Supervisor {
 public:
  // References outlive the supervisor. `values` were fetched, and notify `events` of changes.
  Supervisor(SupervisorOptions options, RunValues& values, SignalEvents& events)
      : options_(std::move(options)), values_(values), events_(events) {}

  // Starts the program and waits for its end. The program's exit code, 128 + N after signal N, 127
  // or 126 when it cannot be found or started.
  int Run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  // 0, or the errno with which the start failed.
  int Spawn(const std::vector<std::string>& command, bool is_hook, pid_t& pid);
  int StartProgram();
  void PassOn(const signalfd_siginfo& signal);
  // Reaps; the exit code of the program when it has ended.
  std::optional<int> Reap();
  void React();
  void StartHook();
  int MillisecondsToWait() const;
  void KillIfOverdue();

  const SupervisorOptions options_;
  RunValues& values_;
  SignalEvents& events_;
  pid_t program_ = -1;
  pid_t hook_ = -1;
  bool hook_again_ = false;  // values changed while the hook ran
  bool restarting_ = false;
  std::optional<Time> kill_at_;   // the program was asked to stop
  std::optional<Time> react_at_;  // changes that come together are one reaction
};

}  // namespace secretfs::cli
