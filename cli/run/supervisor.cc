#include "cli/run/supervisor.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/descriptors.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/exit_codes.h"

namespace secretfs::cli {
namespace {

// Files that one transaction changed arrive within moments of each other.
constexpr std::chrono::milliseconds kSettle(100);

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

int ExitCodeOfWait(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

int Supervisor::Run() {
  if (const int error = StartProgram(); error != 0) return error == ENOENT ? 127 : 126;
  while (true) {
    const SignalEvents::Event event = events_.Wait(MillisecondsToWait());
    if (event.signal.has_value() && event.signal->ssi_signo != SIGCHLD) PassOn(*event.signal);
    if (event.notified && !react_at_.has_value()) {
      react_at_ = std::chrono::steady_clock::now() + kSettle;
    }
    if (const std::optional<int> code = Reap()) {
      if (!restarting_) return *code;
      restarting_ = false;
      values_.TakeChanges();
      if (const int error = StartProgram(); error != 0) return error == ENOENT ? 127 : 126;
    }
    KillIfOverdue();
    if (react_at_.has_value() && std::chrono::steady_clock::now() >= *react_at_) {
      react_at_.reset();
      React();
    }
  }
}

int Supervisor::Spawn(const std::vector<std::string>& command, bool is_hook, pid_t& pid) {
  absl::StatusOr<EnvironmentBlock> environment = EnvironmentBlock::Make(environ, values_.Current());
  if (!environment.ok()) {
    Log().error("{}", MessageOf(environment.status()));
    return EINVAL;
  }
  if (is_hook) environment->Add("SECRETFS_PID", std::to_string(program_));
  std::vector<std::string> words = command;
  const std::vector<char*> arguments = Pointers(words);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &events_.original_mask());
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  CloseInSpawnedExcept(actions, options_.inherited);
  const int error = posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(),
                                 environment->entries());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

int Supervisor::StartProgram() {
  kill_at_.reset();
  const int error = Spawn(options_.command, false, program_);
  if (error != 0) {
    program_ = -1;
    fprintf(stderr, "secretfs: cannot start %s: %s\n", options_.command.front().c_str(),
            strerror(error));
  }
  return error;
}

void Supervisor::PassOn(const signalfd_siginfo& signal) {
  const auto number = static_cast<int>(signal.ssi_signo);
  // Somebody wants an end: do not start again after it.
  if (number == SIGTERM || number == SIGINT || number == SIGQUIT) restarting_ = false;
  // What the terminal sends, it sends to the program as well.
  if (signal.ssi_code == SI_KERNEL && getpgid(program_) == getpgrp()) return;
  kill(program_, number);
}

std::optional<int> Supervisor::Reap() {
  std::optional<int> code;
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == program_) {
      code = ExitCodeOfWait(status);
    } else if (pid == hook_) {
      hook_ = -1;
      if (const int hook_code = ExitCodeOfWait(status); hook_code != 0) {
        Log().warn("the command of --on-change ended with {}", hook_code);
      }
      if (std::exchange(hook_again_, false)) StartHook();
    }
  }
  return code;
}

void Supervisor::React() {
  // While the program stops, the new start takes everything over.
  if (restarting_) return;
  const std::vector<std::string> changed = values_.TakeChanges();
  if (changed.empty()) return;
  switch (options_.reaction.kind) {
    case Reaction::Kind::kNone:
      return;
    case Reaction::Kind::kRestart:
      Log().info("{} changed: restarting {}", JoinNames(changed), options_.command.front());
      restarting_ = true;
      kill_at_ = std::chrono::steady_clock::now() + options_.stop_timeout;
      kill(program_, SIGTERM);
      return;
    case Reaction::Kind::kSignal:
      Log().info("{} changed: sending signal {}", JoinNames(changed), options_.reaction.signal);
      kill(program_, options_.reaction.signal);
      return;
    case Reaction::Kind::kCommand:
      Log().info("{} changed: running the command of --on-change", JoinNames(changed));
      StartHook();
      return;
  }
}

void Supervisor::StartHook() {
  if (hook_ > 0) {
    hook_again_ = true;
    return;
  }
  const int error = Spawn({"/bin/sh", "-c", options_.reaction.command}, true, hook_);
  if (error == 0) return;
  hook_ = -1;
  Log().error("cannot run the command of --on-change: {}", strerror(error));
}

int Supervisor::MillisecondsToWait() const {
  std::optional<Time> next = kill_at_;
  if (react_at_.has_value() && (!next.has_value() || *react_at_ < *next)) next = react_at_;
  if (!next.has_value()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*next - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void Supervisor::KillIfOverdue() {
  if (!kill_at_.has_value() || std::chrono::steady_clock::now() < *kill_at_) return;
  kill_at_.reset();
  Log().warn("{} did not end within the stop timeout: killing it", options_.command.front());
  kill(program_, SIGKILL);
}

}  // namespace secretfs::cli
