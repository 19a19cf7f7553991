// The journal of requests in flight, written by a server that was taken over: what the next one
// hands to libfuse is what libfuse expects of the kernel, which it believes. And the INIT exchange
// that stands in the mount's state.

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>

#include "fs/fuse_init.h"
#include "fs/request_journal.h"

namespace secretfs::fs {
namespace {

constexpr MountId kMount{1};

void Require(bool condition) {
  if (!condition) std::abort();
}

int Memory() {
  static const int memory = [] {
    const int made = memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    Require(ftruncate(made, static_cast<off_t>(RequestJournal::BytesNeeded())) == 0);
    Require(fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    return made;
  }();
  return memory;
}

// As libfuse reads it: structures at fixed places, and names up to their NUL.
void ReadAsLibfuse(const RequestJournal::Left& left) {
  Require(left.request.size() >= sizeof(fuse_in_header));
  fuse_in_header header;
  memcpy(&header, left.request.data(), sizeof(header));
  Require(header.len == left.request.size());
  const char* body = reinterpret_cast<const char*>(left.request.data()) + sizeof(header);
  const size_t size = left.request.size() - sizeof(header);
  switch (header.opcode) {
    case FUSE_LOOKUP:
      Require(strnlen(body, size) < size);
      break;
    case FUSE_GETXATTR:
      Require(size > sizeof(fuse_getxattr_in));
      Require(strnlen(body + sizeof(fuse_getxattr_in), size - sizeof(fuse_getxattr_in)) <
              size - sizeof(fuse_getxattr_in));
      break;
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      Require(size == sizeof(fuse_read_in));
      break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      Require(size == sizeof(fuse_open_in));
      Require((reinterpret_cast<const fuse_open_in*>(body)->flags & O_ACCMODE) == O_RDONLY);
      break;
    case FUSE_SYMLINK:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_UNLINK:
    case FUSE_SETATTR:
    case FUSE_WRITE:
      Require(false);
      break;
    default:
      break;
  }
}

// The input laid over the journal: the first records, or a worker's buffer.
void CheckJournal(std::span<const std::byte> input) {
  if (input.size() < 2) return;
  {
    const auto journal = *RequestJournal::Attach(Memory(), /*afresh=*/true);
    journal->BeginRead(0, kMount);
    const auto buffer = journal->Buffer(0);
    if ((static_cast<uint8_t>(input[0]) & 1) != 0) {
      memcpy(buffer.data(), input.data() + 1, std::min(buffer.size(), input.size() - 1));
    } else {
      // Requests one after the other, each with a byte that says how long it is.
      std::span<const std::byte> rest = input.subspan(1);
      while (rest.size() > 1) {
        const size_t size = std::min<size_t>(static_cast<uint8_t>(rest[0]), rest.size() - 1);
        journal->Park(kMount, MonotonicTime(), rest.subspan(1, size));
        rest = rest.subspan(1 + size);
      }
    }
  }
  if (static_cast<uint8_t>(input[0]) >= 128) {
    // Over everything but the mark.
    Require(pwrite(Memory(), input.data() + 1, std::min<size_t>(input.size() - 1, 65536), 8) > 0);
  }
  const auto journal = *RequestJournal::Attach(Memory());
  std::set<uint64_t> seen;
  for (const auto& left : journal->LeftOf(kMount)) {
    Require(left.since >= MonotonicTime() && left.since <= std::chrono::steady_clock::now());
    if (left.serve) ReadAsLibfuse(left);
    journal->Erase(left.record);
  }
  journal->EraseAllBut({kMount});
  Require(journal->LeftOf(kMount).empty());
}

void CheckInit(std::span<const std::byte> input) {
  const size_t request = input.size() < 200 ? input.size() / 2 : 104;
  InitExchange exchange{.request = {input.begin(), input.begin() + static_cast<ptrdiff_t>(request)},
                        .reply = {input.begin() + static_cast<ptrdiff_t>(request), input.end()}};
  if (!IsInitExchange(exchange)) return;
  Require(exchange.request.size() >= sizeof(fuse_in_header) + 16);
  Require(exchange.reply.size() == sizeof(fuse_out_header) + sizeof(fuse_init_out));
  (void)CanResend(exchange);
  (void)DifferenceOfReplies(exchange.reply, exchange.reply);
}

}  // namespace
}  // namespace secretfs::fs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  secretfs::fs::CheckJournal(input);
  secretfs::fs::CheckInit(input);
  return 0;
}
