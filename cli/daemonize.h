#pragma once

// Leaving the terminal: the parent waits until the child says that the mount is usable, and exits
// with the child's code. Until then the child keeps stderr, so that its errors are seen; the
// holder, which the child becomes, reports success (fs/holder/holder_launch.h). Main thread, before
// any other exists.

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::cli {

// The child's duty to report; reporting twice is a mistake of the caller. Dropped without a report,
// the parent says that the child ended early.
class ReadyReport {
 public:
  // For a process that stays in the foreground: nobody waits, nothing is detached.
  ReadyReport() = default;
  explicit ReadyReport(UniqueFd parent) : parent_(std::move(parent)) {}

  // The parent exits with `exit_code`; the child has printed why.
  void Fail(int exit_code);

  // The number under which the program that this process executes finds the duty to report: one
  // byte, the exit code. -1: nobody waits.
  int KeepOverExec();

 private:
  UniqueFd parent_;
};

struct Forked {
  std::optional<int> parent_exit_code;  // set in the parent, which then only has to exit
  ReadyReport report;                   // the child's
};

// Forks; the child is in a session of its own, with / as its working directory.
absl::StatusOr<Forked> ForkDaemon();

// A log file, appended to, readable by its owner only.
absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path);

}  // namespace secretfs::cli
