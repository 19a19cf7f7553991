#include "providers/auth/command_output.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/descriptors.h"
#include "base/text.h"

extern char** environ;

namespace secretfs::providers {
namespace {

// The variables of this process, with `more` in front of those of the same name.
std::vector<std::string> MergedEnvironment(
    const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> merged;
  for (const auto& [name, value] : more) merged.push_back(Format("{}={}", name, value));
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [other, value] : more) replaced = replaced || other == name;
    if (!replaced) merged.emplace_back(text);
  }
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Signals as a program expects them: none blocked (our I/O thread blocks some), none ignored; and a
// process group of its own.
void SetAttributes(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

// Waits until `descriptor` can be read; it stays the caller's.
asio::awaitable<void> Readable(asio::io_context& context, int descriptor) {
  asio::posix::stream_descriptor stream(context, ::dup(descriptor));
  asio::error_code ignored;  // cancelled: the caller finds out by reading
  co_await stream.async_wait(asio::posix::stream_descriptor::wait_read,
                             asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

CommandRun::~CommandRun() {
  if (pid_ < 0) return;
  Kill();
  ::waitpid(pid_, nullptr, 0);
}

void CommandRun::End() {
  ended_ = true;
  Kill();
}

void CommandRun::Kill() {
  if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

absl::Status CommandRun::Start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return absl::UnavailableError(Format("no pipe: {}", std::strerror(errno)));
  }
  output_ = UniqueFd(ends[0]);
  const UniqueFd child_output(ends[1]);
  ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  std::vector<std::string> words = command_.words;
  std::vector<std::string> environment = MergedEnvironment(command_.environment);
  std::vector<char*> arguments = Pointers(words), variables = Pointers(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, child_output.get(), STDOUT_FILENO);
  CloseInSpawnedExcept(actions, {});
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  SetAttributes(attributes);
  const int error = ::posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(),
                                   variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    const auto code = error == EPERM || error == EACCES ? absl::StatusCode::kPermissionDenied
                                                        : absl::StatusCode::kFailedPrecondition;
    return absl::Status(
        code, Format("{} cannot be started: {}", command_.words[0], std::strerror(error)));
  }
  process_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (process_.valid()) return absl::OkStatus();
  return absl::UnavailableError(
      Format("{} cannot be waited for: {}", command_.words[0], std::strerror(errno)));
}

absl::Status CommandRun::Collect() {
  siginfo_t info = {};
  const int result = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED);
  pid_ = -1;
  if (ended_) return absl::CancelledError("the program is not wanted any more");
  if (timed_out_) {
    return absl::DeadlineExceededError(Format("{} was ended after {} s", command_.words[0],
                                              command_.limit / std::chrono::seconds(1)));
  }
  // Somebody else in this process has collected it: what it printed has to speak for itself.
  if (result != 0) return absl::OkStatus();
  if (info.si_code != CLD_EXITED) {
    return absl::UnavailableError(
        Format("{} was ended by signal {}", command_.words[0], info.si_status));
  }
  if (info.si_status == 0) return absl::OkStatus();
  return absl::UnavailableError(
      Format("{} ended with status {}", command_.words[0], info.si_status));
}

asio::awaitable<absl::StatusOr<SecretBytes>> CommandRun::OutputOf(std::shared_ptr<CommandRun> run) {
  if (run->ended_) co_return absl::CancelledError("the program is not wanted any more");
  const absl::Status started = run->Start();
  if (!started.ok()) co_return started;
  asio::steady_timer limit(run->context_, run->command_.limit);
  limit.async_wait([weak = std::weak_ptr(run)](const asio::error_code& error) {
    const std::shared_ptr<CommandRun> self = weak.lock();
    if (error || self == nullptr) return;
    self->timed_out_ = true;
    self->Kill();
  });
  SecretBuilder output(run->command_.output_limit);
  SecretBytes buffer(16 << 10);
  bool too_large = false;
  for (;;) {
    const ssize_t count = ::read(run->output_.get(), buffer.mutable_bytes().data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      co_await Readable(run->context_, run->output_.get());
      continue;
    }
    if (count <= 0) break;
    if (!output.Append(buffer.bytes().first(static_cast<size_t>(count))).ok()) {
      too_large = true;
      run->Kill();
      break;
    }
  }
  co_await Readable(run->context_, run->process_.get());
  const absl::Status status = run->Collect();
  if (too_large) {
    co_return absl::OutOfRangeError(
        Format("{} prints more than {} bytes", run->command_.words[0], run->command_.output_limit));
  }
  if (!status.ok()) co_return status;
  co_return output.Finish();
}

}  // namespace secretfs::providers
