#include "fs/fuse_init.h"

#include <linux/fuse.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace secretfs::fs {
namespace {

// PARALLEL_DIROPS: without it the kernel looks up one name of a directory at a time, so that a
// lookup that waits for a store would hold up all others (libfuse knows the flag but forgets to
// send it). ABORT_ERROR: reading an aborted connection gives ECONNABORTED, an unmounted one ENODEV.
constexpr uint32_t kAddedFlags = FUSE_PARALLEL_DIROPS | FUSE_ABORT_ERROR;
// libfuse derives the largest READ from the largest WRITE, which is small because nobody writes.
constexpr uint16_t kMaxPages = 32;
// Linux 5.4: older ones are not supported, and their INIT has another form.
constexpr uint32_t kLeastMinor = 31;
// FUSE_HAS_RESEND, newer than Debian's linux/fuse.h; of the upper 32 flags.
constexpr uint32_t kHasResend = 1u << (39 - 32);

template <typename Message>
Message ReadAfter(std::span<const std::byte> bytes, size_t header) {
  Message message = {};
  if (bytes.size() > header) {
    memcpy(&message, bytes.data() + header, std::min(sizeof(message), bytes.size() - header));
  }
  return message;
}

}  // namespace

void CompleteInitReply(const fuse_in_header& request, const iovec* parts, int count) {
  if (count < 2 || parts[1].iov_len < FUSE_COMPAT_22_INIT_OUT_SIZE) return;
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->unique != request.unique || header->error != 0) return;
  const auto* offered = reinterpret_cast<const fuse_init_in*>(&request + 1);
  auto* reply = static_cast<fuse_init_out*>(parts[1].iov_base);
  reply->flags |= offered->flags & kAddedFlags;
  if ((reply->flags & FUSE_MAX_PAGES) != 0) reply->max_pages = kMaxPages;
}

bool IsInitExchange(const InitExchange& exchange) {
  // Up to `flags`, as older kernels send it.
  constexpr size_t kLeastInit = 16;
  const auto header = ReadAfter<fuse_in_header>(exchange.request, 0);
  const size_t body = exchange.request.size() - std::min(exchange.request.size(), sizeof(header));
  if (body < kLeastInit || body > sizeof(fuse_init_in) || header.opcode != FUSE_INIT ||
      header.len != exchange.request.size()) {
    return false;
  }
  const auto offered = ReadAfter<fuse_init_in>(exchange.request, sizeof(header));
  if (offered.major != FUSE_KERNEL_VERSION || offered.minor < kLeastMinor) return false;
  const auto answer = ReadAfter<fuse_out_header>(exchange.reply, 0);
  return exchange.reply.size() == sizeof(fuse_out_header) + sizeof(fuse_init_out) &&
         answer.len == exchange.reply.size() && answer.error == 0;
}

bool CanResend(const InitExchange& agreed) {
  const auto offered = ReadAfter<fuse_init_in>(agreed.request, sizeof(fuse_in_header));
  return (offered.flags & FUSE_INIT_EXT) != 0 && (offered.flags2 & kHasResend) != 0;
}

std::string DifferenceOfReplies(std::span<const std::byte> agreed,
                                std::span<const std::byte> ours) {
  const auto a = ReadAfter<fuse_init_out>(agreed, sizeof(fuse_out_header));
  const auto b = ReadAfter<fuse_init_out>(ours, sizeof(fuse_out_header));
  std::string difference;
  const auto compare = [&difference](const char* what, uint64_t before, uint64_t now) {
    if (before == now) return;
    difference +=
        Format("{}{} 0x{:x} instead of 0x{:x}", difference.empty() ? "" : ", ", what, now, before);
  };
  compare("flags", a.flags | uint64_t{a.flags2} << 32, b.flags | uint64_t{b.flags2} << 32);
  compare("version", uint64_t{a.major} << 32 | a.minor, uint64_t{b.major} << 32 | b.minor);
  compare("max_write", a.max_write, b.max_write);
  compare("max_pages", a.max_pages, b.max_pages);
  compare("max_readahead", a.max_readahead, b.max_readahead);
  compare("time_gran", a.time_gran, b.time_gran);
  return difference;
}

}  // namespace secretfs::fs
