#include "cli/daemonize.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/text.h"
#include "cli/exit_codes.h"

namespace secretfs::cli {
namespace {

// What the parent exits with: the child's word, or a failure if it never came.
int WaitForReport(pid_t child, const UniqueFd& report) {
  unsigned char code = 0;
  ssize_t count = 0;
  do {
    count = read(report.get(), &code, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1) return code;
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "secretfs: the daemon was ended by signal %d before the mount was usable\n",
            WTERMSIG(status));
  } else {
    fprintf(stderr, "secretfs: the daemon ended before the mount was usable\n");
  }
  return kExitFailure;
}

void Send(UniqueFd& parent, int exit_code) {
  const auto code = static_cast<unsigned char>(exit_code);
  // A parent that was killed meanwhile does not end the child.
  [[maybe_unused]] const ssize_t count = write(parent.get(), &code, 1);
  parent.Reset();
}

}  // namespace

void ReadyReport::Fail(int exit_code) {
  if (parent_.valid()) Send(parent_, exit_code);
}

int ReadyReport::KeepOverExec() {
  if (!parent_.valid()) return -1;
  fcntl(parent_.get(), F_SETFD, 0);
  return parent_.get();
}

absl::StatusOr<Forked> ForkDaemon() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(Format("cannot make a pipe ({})", strerror(errno)));
  }
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    return absl::ResourceExhaustedError(Format("cannot start the daemon ({})", strerror(errno)));
  }
  Forked forked;
  if (child > 0) {
    write_end.Reset();
    forked.parent_exit_code = WaitForReport(child, read_end);
    return forked;
  }
  read_end.Reset();
  setsid();
  // A working directory would keep its filesystem busy.
  if (chdir("/") != 0) return absl::InternalError("cannot enter /");
  forked.report = ReadyReport(std::move(write_end));
  return forked;
}

absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file.valid()) {
    return absl::FailedPreconditionError(
        Format("cannot open the log file {} ({})", path, strerror(errno)));
  }
  return file;
}

}  // namespace secretfs::cli
