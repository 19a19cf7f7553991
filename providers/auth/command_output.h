#pragma once

// Runs a program and returns what it prints, without blocking the I/O thread: credential plugins.
// The program gets an empty standard input, its standard error is ours, and it is ended with all
// that it started when it takes too long or nobody wants its output any more. Its output is taken
// for a secret.
//
// Thread-safety: I/O thread only.

#include <sys/types.h>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace secretfs::providers {

struct Command {
  std::vector<std::string> words;  // program (a path, or a name to be found on PATH) and arguments
  // Added to this process's environment, and winning over it.
  std::vector<std::pair<std::string, std::string>> environment;
  Duration limit = std::chrono::seconds(60);
  size_t output_limit = size_t{1} << 20;
};

class CommandRun {
 public:
  // What the program printed, once it has ended with status 0. FailedPrecondition when it cannot be
  // started (PermissionDenied when this process may not), Unavailable when it ends otherwise,
  // DeadlineExceeded after the limit, OutOfRange for more output than is taken, Cancelled after
  // End. Messages name the program, not its arguments.
  static asio::awaitable<absl::StatusOr<SecretBytes>> OutputOf(std::shared_ptr<CommandRun> run);

  CommandRun(asio::io_context& context, Command command)
      : context_(context), command_(std::move(command)) {}
  ~CommandRun();
  CommandRun(const CommandRun&) = delete;
  CommandRun& operator=(const CommandRun&) = delete;

  // Ends the program; OutputOf then returns. Idempotent.
  void End();

 private:
  absl::Status Start();
  void Kill();
  // Collects the ended program; how it ended.
  absl::Status Collect();

  asio::io_context& context_;
  const Command command_;
  UniqueFd output_;
  UniqueFd process_;  // a descriptor of the process
  pid_t pid_ = -1;    // leads its own process group; -1 before the start and once collected
  bool ended_ = false;
  bool timed_out_ = false;
};

}  // namespace secretfs::providers
