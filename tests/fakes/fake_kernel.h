#pragma once

// Plays the kernel's end of /dev/fuse over a socket pair that keeps message borders: a test sends
// the bytes of requests and looks at the bytes of replies. Every wait is bounded; a wait that times
// out gives nothing, and the test fails on that. Not thread-safe.

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs::fs::fakes {

struct KernelReply {
  fuse_out_header header = {};
  std::string body;

  // The body as a struct of the protocol; zeroed if it is too short.
  template <typename T>
  T As() const {
    T value = {};
    if (body.size() >= sizeof(T)) memcpy(&value, body.data(), sizeof(T));
    return value;
  }
};

struct KernelCaller {
  uint32_t uid = 1000;
  uint32_t gid = 1000;
  uint32_t pid = 4242;
};

class FakeKernel {
 public:
  FakeKernel();

  // The server's end; to be given away once.
  UniqueFd TakeDevice() { return std::move(device_); }

  // Sends a request; returns its `unique`.
  uint64_t Send(uint32_t opcode, uint64_t node, std::string_view body, KernelCaller caller = {});
  uint64_t SendInit(uint32_t major = 7, uint32_t minor = 38);
  uint64_t SendLookup(uint64_t parent, std::string_view name, KernelCaller caller = {});
  // Interrupts the request `target`.
  uint64_t SendInterrupt(uint64_t target);
  void SendBytes(std::string_view bytes);
  // As umount does.
  void Close() { kernel_.Reset(); }

  // The next reply, whatever it answers.
  std::optional<KernelReply> Receive(int timeout_ms = 5000);
  // True if there is no reply waiting after all that was sent before was read by the server.
  bool Silent(int for_ms = 50);

 private:
  UniqueFd kernel_;
  UniqueFd device_;
  uint64_t next_unique_ = 2;  // even, as the kernel's
};

// The bytes of a struct of the protocol.
template <typename T>
std::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace secretfs::fs::fakes
