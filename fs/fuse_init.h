#pragma once

// FUSE_INIT, the first request of every connection, in which kernel and server agree on what they
// speak: what is added to libfuse's answer, and how a later server finds itself bound by what an
// earlier one agreed. Free functions over raw messages (kernel: include/uapi/linux/fuse.h).

#include <cstddef>
#include <span>
#include <string>
#include <vector>

struct fuse_in_header;
struct iovec;

namespace secretfs::fs {

// What was agreed: both messages, with their headers.
struct InitExchange {
  std::vector<std::byte> request;
  std::vector<std::byte> reply;
  friend bool operator==(const InitExchange&, const InitExchange&) = default;
};

// Adds to libfuse's reply what it cannot or does not ask for. REQUIRES: `request` is an INIT.
void CompleteInitReply(const fuse_in_header& request, const iovec* parts, int count);

// Whether these are an INIT and its answer, as far as their form goes: what another server left may
// be anything.
bool IsInitExchange(const InitExchange& exchange);

// Whether the kernel of that connection resends what was in flight when it is told to
// (FUSE_HAS_RESEND, Linux 6.9).
bool CanResend(const InitExchange& agreed);

// "" when both replies agree on the same; otherwise what differs, for a message.
std::string DifferenceOfReplies(std::span<const std::byte> agreed, std::span<const std::byte> ours);

}  // namespace secretfs::fs
