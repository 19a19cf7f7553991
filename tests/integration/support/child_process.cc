#include "tests/integration/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/support/slowness.h"

extern char** environ;

namespace secretfs::testing {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

milliseconds Until(Clock::time_point end) {
  return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(end - Clock::now()));
}

struct Pipe {
  UniqueFd read_end, write_end;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    read_end.Reset(ends[0]);
    write_end.Reset(ends[1]);
  }
};

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> command, ChildOptions options) {
  Pipe in, out, error;
  std::map<std::string, std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (auto& [name, value] : options.environment) variables[name] = value;
  std::vector<std::string> texts;
  for (const auto& [name, value] : variables) texts.push_back(name + "=" + value);
  std::vector<char*> environment, arguments;
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error.write_end.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  if (options.without_terminal) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  const int failed = posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(),
                                  environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    fprintf(stderr, "cannot start %s: error %d\n", arguments[0], failed);
    abort();
  }
  input_ = std::move(in.write_end);
  output_end_ = std::move(out.read_end);
  errors_end_ = std::move(error.read_end);
  // Test inputs fit into a pipe's buffer, so this does not block.
  if (!options.input.empty() &&
      write(input_.get(), options.input.data(), options.input.size()) < 0) {
    perror("write to child");
  }
  if (!options.keep_input_open) input_.Reset();
}

ChildProcess::~ChildProcess() {
  if (exit_code_.has_value()) return;
  Signal(SIGTERM);
  if (!Wait(milliseconds(5000)).has_value()) {
    Signal(SIGKILL);
    Wait(milliseconds(5000));
  }
}

bool ChildProcess::WriteInput(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(input_.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void ChildProcess::Signal(int signal) const {
  if (!exit_code_.has_value()) kill(pid_, signal);
}

bool ChildProcess::Pump(milliseconds limit) {
  if (!output_end_.valid() && !errors_end_.valid()) return false;
  pollfd waits[2] = {{output_end_.get(), POLLIN, 0}, {errors_end_.get(), POLLIN, 0}};
  if (poll(waits, 2, static_cast<int>(limit.count())) <= 0) return true;
  const auto read_some = [](UniqueFd& end, const pollfd& wait, std::string& into) {
    if (wait.revents == 0 || !end.valid()) return;
    char buffer[65536];
    const ssize_t count = read(end.get(), buffer, sizeof buffer);
    if (count > 0) {
      into.append(buffer, static_cast<size_t>(count));
    } else {
      end.Reset();
    }
  };
  read_some(output_end_, waits[0], output_);
  read_some(errors_end_, waits[1], errors_);
  return true;
}

std::optional<std::string> ChildProcess::WaitForLine(
    const std::function<bool(const std::string&)>& wanted, milliseconds limit) {
  const Clock::time_point end = Clock::now() + limit;
  while (true) {
    for (size_t newline = output_.find('\n', line_start_); newline != std::string::npos;
         newline = output_.find('\n', line_start_)) {
      const std::string line = output_.substr(line_start_, newline - line_start_);
      line_start_ = newline + 1;
      if (wanted(line)) return line;
    }
    if (Clock::now() >= end || !Pump(Until(end))) return std::nullopt;
  }
}

std::optional<std::string> ChildProcess::WaitForLine(const std::string& part, milliseconds limit) {
  return WaitForLine(
      [&part](const std::string& line) { return line.find(part) != std::string::npos; }, limit);
}

std::optional<int> ChildProcess::Wait(milliseconds limit) {
  const Clock::time_point end = Clock::now() + limit;
  while (!exit_code_.has_value()) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      core_dumped_ = WIFSIGNALED(status) && WCOREDUMP(status);
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      // A grandchild may keep the pipes open: take what is there and do not wait for more.
      while (Pump(milliseconds(0)) && (output_end_.valid() || errors_end_.valid())) {
        pollfd waits[2] = {{output_end_.get(), POLLIN, 0}, {errors_end_.get(), POLLIN, 0}};
        if (poll(waits, 2, 0) <= 0) break;
      }
      break;
    }
    if (Clock::now() >= end) return std::nullopt;
    if (!Pump(std::min(Until(end), milliseconds(20)))) {
      std::this_thread::sleep_for(milliseconds(5));  // streams closed, the process is about to end
    }
  }
  return exit_code_;
}

Finished Run(std::vector<std::string> command, ChildOptions options) {
  ChildProcess child(std::move(command), std::move(options));
  const std::optional<int> code = child.Wait(Slower(milliseconds(60'000)));
  return {.exit_code = code.value_or(-1), .output = child.output(), .errors = child.errors()};
}

}  // namespace secretfs::testing
