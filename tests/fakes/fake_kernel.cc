#include "tests/fakes/fake_kernel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>

namespace secretfs::fs::fakes {

FakeKernel::FakeKernel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    perror("socketpair");
    abort();
  }
  kernel_ = UniqueFd(ends[0]);
  device_ = UniqueFd(ends[1]);
}

uint64_t FakeKernel::Send(uint32_t opcode, uint64_t node, std::string_view body,
                          KernelCaller caller) {
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.unique = next_unique_;
  header.nodeid = node;
  header.uid = caller.uid;
  header.gid = caller.gid;
  header.pid = caller.pid;
  next_unique_ += 2;
  SendBytes(std::string(BytesOf(header)).append(body));
  return header.unique;
}

uint64_t FakeKernel::SendInit(uint32_t major, uint32_t minor) {
  fuse_init_in init = {};
  init.major = major;
  init.minor = minor;
  init.max_readahead = 128 << 10;
  init.flags = 0x7fffffff & ~FUSE_INIT_EXT;
  return Send(FUSE_INIT, 0, BytesOf(init));
}

uint64_t FakeKernel::SendLookup(uint64_t parent, std::string_view name, KernelCaller caller) {
  std::string body(name);
  body.push_back('\0');
  return Send(FUSE_LOOKUP, parent, body, caller);
}

uint64_t FakeKernel::SendInterrupt(uint64_t target) {
  fuse_interrupt_in argument = {.unique = target};
  fuse_in_header header = {};
  header.len = sizeof(header) + sizeof(argument);
  header.opcode = FUSE_INTERRUPT;
  header.unique = target | 1;  // FUSE_INT_REQ_BIT
  SendBytes(std::string(BytesOf(header)).append(BytesOf(argument)));
  return header.unique;
}

void FakeKernel::SendBytes(std::string_view bytes) {
  if (send(kernel_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    perror("send");
    abort();
  }
}

std::optional<KernelReply> FakeKernel::Receive(int timeout_ms) {
  pollfd waited{.fd = kernel_.get(), .events = POLLIN, .revents = 0};
  if (poll(&waited, 1, timeout_ms) != 1) return std::nullopt;
  std::vector<char> buffer(1 << 20);
  const ssize_t size = recv(kernel_.get(), buffer.data(), buffer.size(), 0);
  KernelReply reply;
  if (size < static_cast<ssize_t>(sizeof(reply.header))) return std::nullopt;
  memcpy(&reply.header, buffer.data(), sizeof(reply.header));
  if (reply.header.len != static_cast<uint32_t>(size)) return std::nullopt;
  reply.body.assign(buffer.data() + sizeof(reply.header), buffer.data() + size);
  return reply;
}

bool FakeKernel::Silent(int for_ms) {
  pollfd waited{.fd = kernel_.get(), .events = POLLIN, .revents = 0};
  return poll(&waited, 1, for_ms) == 0;
}

}  // namespace secretfs::fs::fakes
