#include "base/sandbox.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/landlock.h"
#include "base/text.h"

namespace secretfs {
namespace {

// What glibc, OpenSSL and libcurl read of the system: names, certificates, modules, time zones.
const char* const kSystemFiles[] = {"/etc",
                                    "/lib",
                                    "/lib64",
                                    "/usr/lib",
                                    "/usr/lib64",
                                    "/usr/local/lib",
                                    "/usr/share/ca-certificates",
                                    "/usr/local/share/ca-certificates",
                                    "/usr/share/zoneinfo",
                                    "/run/systemd/resolve",
                                    "/run/resolvconf",
                                    "/sys/devices/system/cpu",
                                    "/dev/null",
                                    "/dev/urandom"};

// By what they are for. Everything else fails with EPERM: exec, ptrace, mount, files made, changed
// or removed, other processes, namespaces, modules, keys, bpf, io_uring, …
const int kAllowed[] = {
    // data in and out of descriptors
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(close),
    SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl),
    SCMP_SYS(pipe2), SCMP_SYS(eventfd2),
    // files, as far as rights and Landlock go
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(statfs),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    // waiting
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime), SCMP_SYS(alarm), SCMP_SYS(restart_syscall),
    // the network
    SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    // memory
    SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
    SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(munlock), SCMP_SYS(mlockall), SCMP_SYS(brk),
    SCMP_SYS(membarrier), SCMP_SYS(mincore),
    // threads and signals of its own
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // who and when it is
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getgroups), SCMP_SYS(getresuid),
    SCMP_SYS(getresgid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday),
    SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrandom), SCMP_SYS(getcpu)};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {
    if (context_ == nullptr) error_ = ENOMEM;
  }

  template <typename... Conditions>
  void Allow(int call, Conditions... conditions) {
    Rule(SCMP_ACT_ALLOW, call, conditions...);
  }
  template <typename... Conditions>
  void Rule(uint32_t action, int call, Conditions... conditions) {
    if (error_ != 0) return;
    const int result =
        seccomp_rule_add(context_.get(), action, call, sizeof...(conditions), conditions...);
    // Calls that this architecture does not have are none to allow.
    if (result != 0 && result != -EDOM && result != -EINVAL) error_ = -result;
  }

  absl::Status Load() {
    if (error_ == 0) {
      // Threads that exist already are in it too.
      seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1);
      error_ = -seccomp_load(context_.get());
    }
    if (error_ == 0) return absl::OkStatus();
    return absl::UnavailableError(
        Format("the filter of system calls cannot be entered ({})", strerror(error_)));
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  int error_ = 0;
};

void AllowBounded(Filter& filter) {
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
    filter.Allow(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  }
  // Threads, not processes, and in no namespace of their own. clone3 hides its flags in memory, so
  // glibc is told that there is none and takes clone.
  filter.Allow(SCMP_SYS(clone),
               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
  filter.Rule(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  for (const unsigned long request :
       {static_cast<unsigned long>(FIONBIO), static_cast<unsigned long>(FIONREAD)}) {
    filter.Allow(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, request));
  }
  for (const unsigned long option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE}) {
    filter.Allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, option));
  }
  // abort() and pthread_kill: to this process only.
  const auto self = static_cast<scmp_datum_t>(getpid());
  filter.Allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, self));
  // Reading its own limits, not those of others, and not changing any.
  filter.Allow(SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
}

}  // namespace

absl::StatusOr<SandboxResult> EnterSandbox(const SandboxOptions& options) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  (void)options;
  return SandboxResult{};
#else
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::UnavailableError(Format("no_new_privs cannot be set ({})", strerror(errno)));
  }
  std::vector<std::string> readable = options.readable;
  readable.insert(readable.end(), std::begin(kSystemFiles), std::end(kSystemFiles));
  const absl::StatusOr<bool> bounded = RestrictFiles(readable);
  if (!bounded.ok()) return bounded.status();
  Filter filter;
  for (const int call : kAllowed) filter.Allow(call);
  AllowBounded(filter);
  const absl::Status loaded = filter.Load();
  if (!loaded.ok()) return loaded;
  return SandboxResult{.files_are_bounded = *bounded};
#endif
}

}  // namespace secretfs
