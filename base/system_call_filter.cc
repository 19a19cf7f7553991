#include "base/system_call_filter.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/text.h"

namespace secretfs {
namespace {

// By what they are for. Everything else fails with EPERM: exec, ptrace, mount, files made, changed
// or removed, folders listed, other processes, namespaces, modules, keys, bpf, io_uring, …
const int kAllowed[] = {
    // data in and out of descriptors
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(close),
    SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(eventfd2),
    // what files are there; opening them is below
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(fstatfs), SCMP_SYS(statfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    // waiting
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime), SCMP_SYS(alarm), SCMP_SYS(restart_syscall),
    // the network; making sockets and sending are below
    SCMP_SYS(connect), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    // memory; mmap and mprotect are below
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mlock2),
    SCMP_SYS(munlock), SCMP_SYS(mlockall), SCMP_SYS(brk), SCMP_SYS(membarrier), SCMP_SYS(mincore),
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

// Newer than Debian's headers, or hidden by glibc on 64 bits (include/uapi/asm-generic/fcntl.h).
constexpr uint32_t kLargeFile = 00100000;

constexpr uint32_t kOpenFlags =
    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_DIRECTORY | O_NOFOLLOW | kLargeFile;
constexpr uint32_t kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE | MSG_EOR;
constexpr uint32_t kReceiveFlags = MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC |
                                   MSG_WAITALL | MSG_NOSIGNAL | MSG_ERRQUEUE;
constexpr uint32_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

struct SocketOption {
  int level;
  int name;
};
// What libcurl and glibc's resolver set. Not: filters (programs in the kernel), TCP_REPAIR,
// TCP_ULP, tunnels, …
constexpr SocketOption kSocketOptions[] = {
    {SOL_SOCKET, SO_KEEPALIVE},   {SOL_SOCKET, SO_REUSEADDR},       {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_SNDBUF},      {SOL_SOCKET, SO_RCVBUF},          {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVTIMEO},    {IPPROTO_TCP, TCP_NODELAY},       {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},       {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_IP, IP_RECVERR},     {IPPROTO_IP, IP_MTU_DISCOVER},    {IPPROTO_IPV6, IPV6_RECVERR},
    {IPPROTO_IPV6, IPV6_V6ONLY},  {IPPROTO_IPV6, IPV6_MTU_DISCOVER}};

// Conditions on arguments that the kernel takes as ints: only their low half counts, and what
// stands in the other half is nobody's.
scmp_arg_cmp IntIs(unsigned argument, int value) {
  return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffff'ffffu, static_cast<uint32_t>(value));
}
scmp_arg_cmp HasNoneOf(unsigned argument, uint32_t bits) {
  return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, bits, 0);
}
scmp_arg_cmp HasOnly(unsigned argument, uint32_t bits) { return HasNoneOf(argument, ~bits); }
scmp_arg_cmp SocketTypeIs(unsigned argument, int type) {
  constexpr uint32_t kModifiers = SOCK_CLOEXEC | SOCK_NONBLOCK;
  return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, static_cast<uint32_t>(~kModifiers),
                    static_cast<uint32_t>(type));
}

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

// Reading files, and nothing that opening does besides: without Landlock (or with one of before
// Linux 6.2, which does not know truncation) nothing else stands between.
void AllowFiles(Filter& filter) {
  filter.Allow(SCMP_SYS(open), HasOnly(1, kOpenFlags));
  filter.Allow(SCMP_SYS(openat), HasOnly(2, kOpenFlags));
  // It hides its flags in memory; whoever tries it goes on with openat.
  filter.Rule(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
  // Not F_SETOWN and F_SETSIG, which send signals to any process of the user, nor leases.
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GET_SEALS}) {
    filter.Allow(SCMP_SYS(fcntl), IntIs(1, command));
  }
  filter.Allow(SCMP_SYS(fcntl), IntIs(1, F_SETFL), HasNoneOf(2, O_ASYNC));
  // No pipes of notifications (O_EXCL).
  filter.Allow(SCMP_SYS(pipe2), HasOnly(1, O_CLOEXEC | O_NONBLOCK));
  for (const int request : {FIONBIO, FIONREAD}) filter.Allow(SCMP_SYS(ioctl), IntIs(1, request));
}

void AllowNetwork(Filter& filter, bool files_are_bounded) {
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int protocol : {0, static_cast<int>(IPPROTO_TCP)}) {
      filter.Allow(SCMP_SYS(socket), IntIs(0, family), SocketTypeIs(1, SOCK_STREAM),
                   IntIs(2, protocol));
    }
    for (const int protocol : {0, static_cast<int>(IPPROTO_UDP)}) {
      filter.Allow(SCMP_SYS(socket), IntIs(0, family), SocketTypeIs(1, SOCK_DGRAM),
                   IntIs(2, protocol));
    }
  }
  // The network's addresses, for getaddrinfo.
  filter.Allow(SCMP_SYS(socket), IntIs(0, AF_NETLINK), SocketTypeIs(1, SOCK_RAW),
               IntIs(2, NETLINK_ROUTE));
  // A user's D-Bus starts programs outside of the sandbox, and sockets of other mounts unmount
  // them. Name services that are asked this way count as not there.
  filter.Rule(SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), IntIs(0, AF_UNIX));
  // libcurl's threads wake each other. Of datagrams even a pair's end sends to any address.
  filter.Allow(SCMP_SYS(socketpair), IntIs(0, AF_UNIX), SocketTypeIs(1, SOCK_STREAM));
  // For getaddrinfo's netlink socket, told by the length of its address. Any Unix socket could be
  // bound by it too, which makes a file. Where it fails, getaddrinfo takes it that the machine has
  // addresses of both families.
  if (files_are_bounded) {
    filter.Allow(SCMP_SYS(bind), IntIs(2, static_cast<int>(sizeof(sockaddr_nl))));
  }
  for (const SocketOption& option : kSocketOptions) {
    filter.Allow(SCMP_SYS(setsockopt), IntIs(1, option.level), IntIs(2, option.name));
  }
  filter.Allow(SCMP_SYS(sendto), HasOnly(3, kSendFlags));
  filter.Allow(SCMP_SYS(sendmsg), HasOnly(2, kSendFlags));
  filter.Allow(SCMP_SYS(sendmmsg), HasOnly(3, kSendFlags));
  filter.Allow(SCMP_SYS(recvfrom), HasOnly(3, kReceiveFlags));
  filter.Allow(SCMP_SYS(recvmsg), HasOnly(2, kReceiveFlags));
}

void AllowProcess(Filter& filter) {
  // What is written is never executed. Libraries are loaded before.
  filter.Allow(SCMP_SYS(mmap), HasNoneOf(2, PROT_EXEC));
  filter.Allow(SCMP_SYS(mprotect), HasNoneOf(2, PROT_EXEC));
  // Threads, not processes, and in no namespace of their own. clone3 hides its flags in memory, so
  // glibc is told that there is none and takes clone.
  filter.Allow(SCMP_SYS(clone),
               SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, uint32_t{CLONE_THREAD | kNewNamespaces},
                          uint32_t{CLONE_THREAD}));
  filter.Rule(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE}) {
    filter.Allow(SCMP_SYS(prctl), IntIs(0, option));
  }
  // abort() and pthread_kill: to this process only.
  filter.Allow(SCMP_SYS(tgkill), IntIs(0, getpid()));
  // Reading its own limits, not those of others, and not changing any.
  filter.Allow(SCMP_SYS(prlimit64), IntIs(0, 0), SCMP_A2(SCMP_CMP_EQ, 0));
}

}  // namespace

absl::Status FilterSystemCalls(const SystemCallFilterOptions& options) {
  Filter filter;
  for (const int call : kAllowed) filter.Allow(call);
  AllowFiles(filter);
  AllowNetwork(filter, options.files_are_bounded);
  AllowProcess(filter);
  return filter.Load();
}

}  // namespace secretfs
