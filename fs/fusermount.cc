#include "fs/fusermount.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <vector>

#include "base/descriptors.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;

constexpr char kProgram[] = "fusermount3";
constexpr milliseconds kHelperDeadline{4000};
constexpr milliseconds kKillDeadline{500};
constexpr size_t kMostOfMessage = 4096;

// Waits until `descriptor` is readable; false after `timeout`.
bool WaitReadable(int descriptor, milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    pollfd waited{.fd = descriptor, .events = POLLIN, .revents = 0};
    const int ready = poll(&waited, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// Collects `process`; kills it first if it does not end in time. Returns the wait status, -1 if it
// cannot even be killed (waiting in the kernel).
int Collect(pid_t process, milliseconds timeout) {
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  int status = 0;
  int flags = 0;
  if (handle.valid() && !WaitReadable(handle.get(), timeout)) {
    kill(process, SIGKILL);
    if (!WaitReadable(handle.get(), kKillDeadline)) flags = WNOHANG;
  }
  while (true) {
    const pid_t collected = waitpid(process, &status, flags);
    if (collected == process) return status;
    if (collected == 0 || errno != EINTR) return -1;
  }
}

// What the helper wrote to its stderr. An unlinked memory file rather than a pipe: a helper that
// stays (auto_unmount) must neither block on it nor die of SIGPIPE.
class ErrorOutput {
 public:
  ErrorOutput() : file_(memfd_create("fusermount3-stderr", MFD_CLOEXEC)) {}
  int descriptor() const { return file_.get(); }
  std::string Text() const {
    std::string text(kMostOfMessage, '\0');
    const ssize_t size = pread(file_.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

 private:
  UniqueFd file_;
};

// Starts fusermount3. `inherited` (-1: none) stays open in it under the same number.
absl::StatusOr<pid_t> StartHelper(std::vector<std::string> arguments, int inherited,
                                  const ErrorOutput& errors) {
  std::vector<char*> argv{const_cast<char*>(kProgram)};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // Nothing of our environment is the helper's business.
  std::string path = "PATH=/usr/bin:/bin:/usr/local/bin";
  std::string socket = Format("_FUSE_COMMFD={}", inherited);
  std::vector<char*> environment{path.data()};
  if (inherited >= 0) environment.push_back(socket.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  if (inherited >= 0) posix_spawn_file_actions_adddup2(&actions, inherited, inherited);
  CloseInSpawnedExcept(actions, std::span(&inherited, inherited >= 0 ? 1 : 0));
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  pid_t process = -1;
  int error = ENOENT;
  for (const char* program :
       {"/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"}) {
    error = posix_spawn(&process, program, &actions, &attributes, argv.data(), environment.data());
    if (error != ENOENT) break;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    return absl::UnavailableError(
        "fusermount3 is missing; without it only root can mount: install the package fuse3");
  }
  if (error != 0) {
    return absl::UnavailableError(Format("cannot start fusermount3: {}", strerror(error)));
  }
  return process;
}

// Receives the descriptor; an invalid one if the helper closed the socket without sending it.
UniqueFd ReceiveDescriptor(int socket) {
  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    if (!WaitReadable(socket, kHelperDeadline)) return UniqueFd();
    size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return UniqueFd();
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    int descriptor = -1;
    memcpy(&descriptor, CMSG_DATA(part), sizeof(descriptor));
    return UniqueFd(descriptor);
  }
  return UniqueFd();
}

absl::Status ExplainFailure(const std::string& directory, const std::string& said) {
  if (said.find("user_allow_other") != std::string::npos) {
    return absl::PermissionDeniedError(
        "--allow-other needs the line user_allow_other in /etc/fuse.conf (root can add it); or "
        "mount without it");
  }
  if (said.find("failed to open /dev/fuse") != std::string::npos) {
    if (access("/dev/fuse", F_OK) != 0) {
      return absl::UnavailableError(
          "there is no /dev/fuse; load the fuse module (modprobe fuse) or, in a container, pass "
          "--device /dev/fuse");
    }
    return absl::PermissionDeniedError(
        "/dev/fuse cannot be opened by this user; allow it (chmod 0666 /dev/fuse is what udev "
        "does) "
        "or run as root");
  }
  return absl::PermissionDeniedError(
      Format("cannot mount on {}: {}", directory,
             said.empty() ? "fusermount3 ended without saying why" : said));
}

}  // namespace

AutoUnmountHelper& AutoUnmountHelper::operator=(AutoUnmountHelper&& other) noexcept {
  if (this != &other) {
    End();
    socket_ = std::move(other.socket_);
    process_ = std::exchange(other.process_, -1);
  }
  return *this;
}

void AutoUnmountHelper::End() {
  // Whoever else has it open.
  if (socket_.valid()) shutdown(socket_.get(), SHUT_RDWR);
  socket_.Reset();
  if (process_ > 0) Collect(std::exchange(process_, -1), kHelperDeadline);
}

absl::StatusOr<FusermountResult> MountThroughFusermount(const std::string& directory,
                                                        const std::string& options,
                                                        bool auto_unmount) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::UnavailableError(Format("cannot make a socket pair: {}", strerror(errno)));
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  ErrorOutput errors;
  const std::string all = auto_unmount ? options + ",auto_unmount" : options;
  SECRETFS_ASSIGN_OR_RETURN(const pid_t process,
                            StartHelper({"-o", all, "--", directory}, theirs.get(), errors));
  theirs.Reset();
  FusermountResult result;
  result.device = ReceiveDescriptor(ours.get());
  if (!result.device.valid()) {
    ours.Reset();
    Collect(process, kHelperDeadline);
    return ExplainFailure(directory, errors.Text());
  }
  if (auto_unmount) {
    result.auto_unmount = AutoUnmountHelper(std::move(ours), process);
  } else {
    Collect(process, kHelperDeadline);
  }
  return result;
}

absl::Status UnmountThroughFusermount(const std::string& directory, bool lazy) {
  ErrorOutput errors;
  std::vector<std::string> arguments{"-u", "-q"};
  if (lazy) arguments.push_back("-z");
  arguments.push_back("--");
  arguments.push_back(directory);
  SECRETFS_ASSIGN_OR_RETURN(const pid_t process, StartHelper(std::move(arguments), -1, errors));
  const int status = Collect(process, kHelperDeadline);
  if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Format("cannot unmount {}: {}", directory,
             errors.Text().empty() ? "fusermount3 failed" : errors.Text()));
}

}  // namespace secretfs::fs
