#include "fs/holder/server_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "fs/holder/server_start.h"

namespace secretfs::fs {
namespace {

constexpr rlim_t kMostDescriptors = 1 << 20;
constexpr int kOutputBytes = 1 << 20;
constexpr std::string_view kKilledBySignal = "was killed by signal ";

// What the child reports when it cannot become the server.
struct ChildFailure {
  int error;
  char step[60];
};

// All that the child needs, made before fork.
struct ChildPlan {
  int program, socket, null, output, failure;
  char* const* arguments;
  char* const* environment;
  bool changes_user;  // when it has become the server (fs/holder/server_start.h)
  sigset_t signal_mask;
};

// --- in the child: nothing here may allocate or take a lock.

[[noreturn]] void Report(const ChildPlan& plan, const char* step) {
  ChildFailure failure = {};
  failure.error = errno;
  strncpy(failure.step, step, sizeof(failure.step) - 1);
  [[maybe_unused]] const ssize_t count = write(plan.failure, &failure, sizeof(failure));
  _exit(127);
}

void RaiseLimit(int resource, rlim_t wanted) {
  rlimit limit = {};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return;
  rlimit raised = {wanted, wanted};
  if (limit.rlim_max == RLIM_INFINITY && wanted != RLIM_INFINITY) raised.rlim_max = RLIM_INFINITY;
  if (setrlimit(static_cast<__rlimit_resource_t>(resource), &raised) == 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

// All of them, but for the two that changing the user takes. Those pass exec as inheritable ones:
// nothing is left in the bounding set, so that they cannot come back either.
void DropCapabilities(const ChildPlan& plan) {
  const uint32_t needed = plan.changes_user ? 1u << CAP_SETUID | 1u << CAP_SETGID : 0;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, sets) != 0) Report(plan, "read its capabilities");
  sets[0].inheritable = needed;
  sets[1].inheritable = 0;
  if (syscall(SYS_capset, &header, sets) != 0) Report(plan, "pass capabilities on");
  // Fails from the first number that the kernel does not know, and for everybody but root.
  for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  sets[0] = {needed, needed, needed};
  sets[1] = {};
  if (syscall(SYS_capset, &header, sets) != 0) Report(plan, "drop all capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Report(plan, "set no_new_privs");
}

// Whatever a library left open; all of the holder's own are so already, should a container's filter
// of system calls not know this one.
void CloseOnExec(const ChildPlan& plan) {
  syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (fcntl(plan.socket, F_SETFD, 0) != 0) Report(plan, "hand on its socket");
}

[[noreturn]] void BecomeServer(const ChildPlan& plan) {
  // Its own session: the terminal's Ctrl-C is the holder's to hear.
  setsid();
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigprocmask(SIG_SETMASK, &plan.signal_mask, nullptr);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  RaiseLimit(RLIMIT_MEMLOCK, RLIM_INFINITY);
  RaiseLimit(RLIMIT_NOFILE, kMostDescriptors);
  if (dup2(plan.null, STDIN_FILENO) < 0) Report(plan, "open its stdin");
  // No terminal and no log file: lines of the log go through the holder.
  if (dup2(plan.output, STDOUT_FILENO) < 0 || dup2(plan.output, STDERR_FILENO) < 0) {
    Report(plan, "open its stdout and stderr");
  }
  DropCapabilities(plan);
  CloseOnExec(plan);
  syscall(SYS_execveat, plan.program, "", plan.arguments, plan.environment, AT_EMPTY_PATH);
  Report(plan, "start the program");
}

// --- in the holder:

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(const ServerStartWords& words) {
  const std::string prefix = Format("{}=", kServerStartVariable);
  std::vector<std::string> environment{prefix + FormatServerStart(words)};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (strncmp(*entry, prefix.c_str(), prefix.size()) != 0) environment.emplace_back(*entry);
  }
  return environment;
}

// Waits until the child has become the server or says why not; exec closes its end.
absl::Status AwaitExec(int failure_end, pid_t child, const ServerStarter::Options& options) {
  ChildFailure failure = {};
  ssize_t count;
  do {
    count = read(failure_end, &failure, sizeof(failure));
  } while (count < 0 && errno == EINTR);
  if (count == 0) return absl::OkStatus();
  waitpid(child, nullptr, 0);
  failure.step[sizeof(failure.step) - 1] = '\0';
  const std::string who = options.user.has_value() ? Format(" as user {}", *options.user) : "";
  return absl::FailedPreconditionError(Format("the server {}{} could not {} ({})",
                                              options.arguments.front(), who, failure.step,
                                              strerror(failure.error)));
}

}  // namespace

bool ServerStarter::changes_user() const { return options_.user.has_value() && geteuid() == 0; }

absl::Status ServerStarter::CheckRights(pid_t process) const {
  if (!changes_user()) return absl::OkStatus();
  return CheckServerRights(process, *options_.user);
}

absl::StatusOr<UniqueFd> ServerStarter::OpenProgram(bool proven) const {
  const bool fresh = !proven || !proven_program_.valid();
  UniqueFd program;
  if (fresh) program = UniqueFd(open(options_.arguments.front().c_str(), O_PATH | O_CLOEXEC));
  const int error = errno;
  if (!program.valid() && proven_program_.valid()) {
    program = UniqueFd(fcntl(proven_program_.get(), F_DUPFD_CLOEXEC, 3));
  }
  if (program.valid()) return program;
  return absl::FailedPreconditionError(
      Format("cannot open the server {} ({})", options_.arguments.front(), strerror(error)));
}

absl::StatusOr<StartedServer> ServerStarter::Start(bool proven) {
  if (geteuid() == 0 && !options_.user.has_value()) {
    return absl::InvalidArgumentError("a server of root needs a user of its own");
  }
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd program, OpenProgram(proven));
  int ends[2], pipe_ends[2], output_ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(Format("cannot make a socket pair ({})", strerror(errno)));
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(Format("cannot make a pipe ({})", strerror(errno)));
  }
  const UniqueFd failure_read(pipe_ends[0]);
  UniqueFd failure_write(pipe_ends[1]);
  // The server does not wait for its log either.
  if (pipe2(output_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ResourceExhaustedError(Format("cannot make a pipe ({})", strerror(errno)));
  }
  UniqueFd output_read(output_ends[0]);
  const UniqueFd output_write(output_ends[1]);
  fcntl(output_read.get(), F_SETPIPE_SZ, kOutputBytes);  // smaller is well enough
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  std::vector<std::string> arguments = options_.arguments;
  ServerStartWords words;
  words.socket = theirs.get();
  words.holder = getpid();
  if (changes_user()) {
    words.user = options_.user;
    words.group = options_.group;
  }
  std::vector<std::string> environment = EnvironmentWith(words);
  const std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);
  const ChildPlan plan{.program = program.get(),
                       .socket = theirs.get(),
                       .null = null.get(),
                       .output = output_write.get(),
                       .failure = failure_write.get(),
                       .arguments = argv.data(),
                       .environment = envp.data(),
                       .changes_user = changes_user(),
                       .signal_mask = options_.signal_mask};
  const pid_t child = fork();
  if (child < 0) {
    return absl::ResourceExhaustedError(Format("cannot start the server ({})", strerror(errno)));
  }
  if (child == 0) BecomeServer(plan);
  failure_write.Reset();
  theirs.Reset();
  SECRETFS_RETURN_IF_ERROR(AwaitExec(failure_read.get(), child, options_));
  last_program_ = std::move(program);
  StartedServer started;
  started.process = child;
  started.socket = std::move(ours);
  started.output = std::move(output_read);
  return started;
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) return Format("{}{}", kKilledBySignal, WTERMSIG(wait_status));
  return Format("exited with code {}", WEXITSTATUS(wait_status));
}

bool WasKilled(std::string_view description) { return description.starts_with(kKilledBySignal); }

}  // namespace secretfs::fs
