#include "tests/integration/local/terminal_session.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace secretfs::testing {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

TerminalSession::TerminalSession(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  int terminal = -1;
  pid_ = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid_ < 0) {
    perror("forkpty");
    abort();
  }
  if (pid_ == 0) {
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  terminal_.Reset(terminal);
}

TerminalSession::~TerminalSession() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool TerminalSession::Pump(milliseconds limit) {
  if (ended_) return false;
  pollfd ready{terminal_.get(), POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return true;
  std::array<char, 4096> buffer;
  const ssize_t count = read(terminal_.get(), buffer.data(), buffer.size());
  if (count > 0) {
    screen_.append(buffer.data(), static_cast<size_t>(count));
  } else {
    ended_ = true;  // EIO: the last program on the terminal ended
  }
  return !ended_;
}

bool TerminalSession::WaitFor(const std::string& text, size_t from, milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (screen_.find(text, from) == std::string::npos) {
    if (Clock::now() >= end || !Pump(milliseconds(50)))
      return screen_.find(text, from) != std::string::npos;
  }
  return true;
}

void TerminalSession::Type(const std::string& text) {
  // The terminal takes only so much at a time.
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(terminal_.get(), text.data() + done, text.size() - done);
    if (count < 0) {
      perror("write to terminal");
      return;
    }
    done += static_cast<size_t>(count);
  }
}

std::optional<int> TerminalSession::Wait(milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (Clock::now() < end) {
    if (!Pump(milliseconds(50))) usleep(1000);
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) continue;
    pid_ = -1;
    while (Pump(milliseconds(0)) && poll(nullptr, 0, 0) == 0) {
      pollfd ready{terminal_.get(), POLLIN, 0};
      if (poll(&ready, 1, 0) <= 0) break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return std::nullopt;
}

}  // namespace secretfs::testing
