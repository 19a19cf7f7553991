// Whom a server that was taken over can reach by sockets, and by signals that descriptors send.

#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tests/integration/sandbox/sandbox_fixture.h"

namespace secretfs {
namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  return address;
}

const sockaddr* Plain(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// With sockets that everybody may use, as a bus, a log or another mount's holder has.
class SandboxSocketsTest : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    listening_ = Bound("stream", SOCK_STREAM);
    ASSERT_EQ(listen(listening_.get(), 4), 0);
    datagrams_ = Bound("datagrams", SOCK_DGRAM);
  }

  UniqueFd Bound(const std::string& name, int type) {
    UniqueFd made(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = AddressOf(folder_ / name);
    EXPECT_EQ(bind(made.get(), Plain(address), sizeof(address)), 0) << strerror(errno);
    std::filesystem::permissions(folder_ / name, std::filesystem::perms(0777));
    return made;
  }

  static bool HasSomething(const UniqueFd& socket) {
    pollfd waited{.fd = socket.get(), .events = POLLIN, .revents = 0};
    return poll(&waited, 1, 0) != 0;
  }

  UniqueFd listening_, datagrams_;
};

TEST_P(SandboxSocketsTest, MakesNoUnixSocket) {
  Tries tries;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    tries.emplace_back("type " + std::to_string(type),
                       [type] { return ErrnoOf(socket(AF_UNIX, type | SOCK_CLOEXEC, 0)); });
  }
  // What a library takes for a system without them, and goes on.
  for (const auto& [name, error] : Behind(tries)) EXPECT_EQ(error, EAFNOSUPPORT) << name;
}

TEST_P(SandboxSocketsTest, APairReachesNobodyElse) {
  const sockaddr_un stream = AddressOf(folder_ / "stream");
  const sockaddr_un datagrams = AddressOf(folder_ / "datagrams");
  const auto pair = [] {
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) _exit(5);
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
  };
  const auto results = Behind({
      {"connecting elsewhere",
       [&] {
         const auto [ours, theirs] = pair();
         return ErrnoOf(connect(ours.get(), Plain(stream), sizeof(stream)));
       }},
      {"connecting elsewhere when the other end has gone",
       [&] {
         auto [ours, theirs] = pair();
         theirs.Reset();
         return ErrnoOf(connect(ours.get(), Plain(stream), sizeof(stream)));
       }},
      {"sending elsewhere",
       [&] {
         const auto [ours, theirs] = pair();
         return ErrnoOf(
             sendto(ours.get(), "x", 1, MSG_NOSIGNAL, Plain(datagrams), sizeof(datagrams)));
       }},
      {"listening",
       [&] {
         const auto [ours, theirs] = pair();
         return ErrnoOf(listen(ours.get(), 1));
       }},
      {"data out of band",
       [&] {
         const auto [ours, theirs] = pair();
         return ErrnoOf(send(ours.get(), "x", 1, MSG_NOSIGNAL | MSG_OOB));
       }},
      {"a pair of datagrams",
       [] {
         int ends[2];
         return ErrnoOf(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
       }},
      {"a pair of packets",
       [] {
         int ends[2];
         return ErrnoOf(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
       }},
  });
  for (const auto& [name, error] : results) EXPECT_NE(error, 0) << name;
  EXPECT_FALSE(HasSomething(listening_));
  EXPECT_FALSE(HasSomething(datagrams_));
}

TEST_P(SandboxSocketsTest, ASocketBecomesNoFile) {
  // Short names too: a length that a netlink address has.
  Tries tries;
  const std::string place = folder_ / "open/s";
  for (const std::string& path : {place, std::string("/tmp/sfs-x")}) {
    tries.emplace_back(path, [path] {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
      const sockaddr_un address = AddressOf(path);
      return ErrnoOf(bind(ends[0], Plain(address),
                          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size())));
    });
  }
  ExpectRefused(tries);
  EXPECT_FALSE(std::filesystem::exists(place));
  EXPECT_FALSE(std::filesystem::exists("/tmp/sfs-x"));
}

TEST_P(SandboxSocketsTest, ListensNowhere) {
  const auto tcp = [] { return UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); };
  ExpectRefused({
      {"at an address",
       [&] {
         const UniqueFd server = tcp();
         sockaddr_in address = {};
         address.sin_family = AF_INET;
         address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
         return ErrnoOf(bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)));
       }},
      // The kernel chooses a port, and Landlock is not asked.
      {"at any port", [&] { return ErrnoOf(listen(tcp().get(), 1)); }},
  });
}

TEST_P(SandboxSocketsTest, OnlyOrdinarySockets) {
  ExpectRefused({
      {"raw packets", [] { return ErrnoOf(socket(AF_PACKET, SOCK_RAW, 0)); }},
      {"raw IP", [] { return ErrnoOf(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }},
      {"another transport", [] { return ErrnoOf(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)); }},
      {"a tunnel", [] { return ErrnoOf(socket(AF_INET, SOCK_DGRAM, 115)); }},
      {"the kernel's ciphers", [] { return ErrnoOf(socket(AF_ALG, SOCK_SEQPACKET, 0)); }},
      {"virtual machines", [] { return ErrnoOf(socket(AF_VSOCK, SOCK_STREAM, 0)); }},
      {"the firewall", [] { return ErrnoOf(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)); }},
      {"the list of all sockets",
       [] { return ErrnoOf(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)); }},
      {"a program in the kernel",
       [] {
         const UniqueFd made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
         sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
         const sock_fprog program{.len = 1, .filter = &accept_all};
         return ErrnoOf(
             setsockopt(made.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
       }},
      {"another protocol on top",
       [] {
         const UniqueFd made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
         return ErrnoOf(setsockopt(made.get(), IPPROTO_TCP, TCP_ULP, "tls", 3));
       }},
  });
}

// Before Linux 6.12 (and without Landlock's scopes after it) a descriptor's owner gets its signals
// whoever that is: SIGKILL for any process of the user.
TEST_P(SandboxSocketsTest, NoDescriptorSendsSignals) {
  const auto on_pipe = [](const std::function<int(int)>& attempt) {
    return [attempt] {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return 0;
      return attempt(ends[0]);
    };
  };
  ExpectRefused({
      {"its owner", on_pipe([&](int pipe) { return ErrnoOf(fcntl(pipe, F_SETOWN, neighbour_)); })},
      {"its owner, another way", on_pipe([&](int pipe) {
         const f_owner_ex owner{.type = F_OWNER_PID, .pid = neighbour_};
         return ErrnoOf(fcntl(pipe, F_SETOWN_EX, &owner));
       })},
      {"its signal", on_pipe([](int pipe) { return ErrnoOf(fcntl(pipe, F_SETSIG, SIGKILL)); })},
      {"signals at all",
       on_pipe([](int pipe) { return ErrnoOf(fcntl(pipe, F_SETFL, O_NONBLOCK | O_ASYNC)); })},
      {"the same by ioctl", on_pipe([](int pipe) {
         int on = 1;
         return ErrnoOf(ioctl(pipe, FIOASYNC, &on));
       })},
      {"its owner by ioctl",
       on_pipe([&](int pipe) { return ErrnoOf(ioctl(pipe, FIOSETOWN, &neighbour_)); })},
      {"news of a folder",
       [] {
         const UniqueFd folder(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
         return ErrnoOf(fcntl(folder.get(), F_NOTIFY, DN_CREATE));
       }},
      {"a lease",
       [&] {
         const UniqueFd file(open((folder_ / "allowed").c_str(), O_RDONLY | O_CLOEXEC));
         return ErrnoOf(fcntl(file.get(), F_SETLEASE, F_RDLCK));
       }},
      {"a larger pipe", on_pipe([](int pipe) { return ErrnoOf(fcntl(pipe, F_SETPIPE_SZ, 8192)); })},
      {"typing into a terminal", on_pipe([](int pipe) {
         char letter = 'x';
         return ErrnoOf(ioctl(pipe, TIOCSTI, &letter));
       })},
      {"a pipe of notifications",
       [] {
         int ends[2];
         return ErrnoOf(syscall(SYS_pipe2, ends, O_EXCL));
       }},
  });
}

SECRETFS_WITH_EACH_LANDLOCK(SandboxSocketsTest);

}  // namespace
}  // namespace secretfs
