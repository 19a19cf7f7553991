#include "fs/request_journal.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>

#include "base/text.h"

namespace secretfs::fs {
namespace {

constexpr uint64_t kMagic = 0x316c6e726a736673;  // "sfsjrnl1"
// The kernel asks for less.
constexpr uint32_t kLargestRead = 2 << 20;
constexpr uint32_t kLargestAttribute = 64 << 10;
// Up to `flags`, as kernels before 5.17 sent it.
constexpr size_t kLeastInit = 16;

// Since the machine was started, and not in the future.
MonotonicTime PlausibleSince(int64_t since) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  return std::clamp(MonotonicTime(std::chrono::nanoseconds(since)), MonotonicTime(), now);
}

// Of a request that the kernel gave completely; nothing otherwise.
std::optional<fuse_in_header> CompleteHeader(std::span<const std::byte> bytes) {
  fuse_in_header header;
  if (bytes.size() < sizeof(header)) return std::nullopt;
  memcpy(&header, bytes.data(), sizeof(header));
  if (header.len < sizeof(header) || header.len > bytes.size()) return std::nullopt;
  return header;
}

// What becomes of a request that another server left. Those without a reply are dropped: nobody
// waits for them, and taking a FORGET twice would be worse than not at all.
enum class Use { kServe, kRefuse, kDrop };

// Whether what follows the header is `count` names, each ended by its NUL, and nothing else.
bool AreNames(std::span<const std::byte> body, int count) {
  for (; count > 0; --count) {
    const auto end = std::find(body.begin(), body.end(), std::byte{0});
    if (end == body.end() || end == body.begin()) return false;
    body = body.subspan(static_cast<size_t>(end - body.begin()) + 1);
  }
  return body.empty();
}

Use UseOf(const fuse_in_header& header, std::span<const std::byte> request) {
  const std::span<const std::byte> body = request.subspan(sizeof(header));
  const auto serve_if = [](bool right) { return right ? Use::kServe : Use::kDrop; };
  switch (header.opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return Use::kDrop;
    case FUSE_LOOKUP:
      return serve_if(AreNames(body, 1));
    case FUSE_GETATTR:
      return serve_if(body.size() == sizeof(fuse_getattr_in));
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      fuse_open_in open = {};
      if (body.size() != sizeof(open)) return Use::kDrop;
      memcpy(&open, body.data(), sizeof(open));
      // Who opens for writing is the publisher, or gets an error anyway.
      return (open.flags & O_ACCMODE) == O_RDONLY ? Use::kServe : Use::kRefuse;
    }
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: {
      fuse_read_in read = {};
      if (body.size() != sizeof(read)) return Use::kDrop;
      memcpy(&read, body.data(), sizeof(read));
      return serve_if(read.size <= kLargestRead);
    }
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR: {
      fuse_getxattr_in get = {};
      if (body.size() < sizeof(get)) return Use::kDrop;
      memcpy(&get, body.data(), sizeof(get));
      const int names = header.opcode == FUSE_GETXATTR ? 1 : 0;
      return serve_if(get.size <= kLargestAttribute && AreNames(body.subspan(sizeof(get)), names));
    }
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      return serve_if(body.size() == sizeof(fuse_release_in));
    case FUSE_FLUSH:
      return serve_if(body.size() == sizeof(fuse_flush_in));
    case FUSE_ACCESS:
      return serve_if(body.size() == sizeof(fuse_access_in));
    case FUSE_READLINK:
    case FUSE_STATFS:
      return serve_if(body.empty());
    case FUSE_INIT:
      return serve_if(body.size() >= kLeastInit && body.size() <= sizeof(fuse_init_in));
    default:
      return Use::kRefuse;
  }
}

void RaiseTo(std::atomic<uint32_t>& mark, size_t value) {
  uint32_t seen = mark;
  while (seen < value && !mark.compare_exchange_weak(seen, static_cast<uint32_t>(value))) {
  }
}

}  // namespace

struct RequestJournal::Header {
  uint64_t magic;
  // No record beyond was ever used: looking at those would only take memory for them.
  std::atomic<uint32_t> records_used;
  std::atomic<uint32_t> buffers_used;
};

struct RequestJournal::Slot {
  uint32_t mount;
  uint32_t padding;
  int64_t since;
  std::byte request[kBufferBytes];
};

// Read by the next server if `state` is kWritten, which is set last and taken back first.
struct RequestJournal::Record {
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kWritten = 1;
  std::atomic<uint32_t> state;
  uint32_t mount;
  int64_t since;
  std::byte request[kRecordBytes];
};

namespace {
constexpr size_t kSlotsAt = 64;
}

size_t RequestJournal::BytesNeeded() {
  return kSlotsAt + kBuffers * sizeof(Slot) + kRecords * sizeof(Record);
}

RequestJournal::RequestJournal(void* memory) : memory_(static_cast<std::byte*>(memory)) {
  CollectFree();
}

RequestJournal::~RequestJournal() { munmap(memory_, BytesNeeded()); }

RequestJournal::Slot& RequestJournal::slot(size_t worker) {
  return *reinterpret_cast<Slot*>(memory_ + kSlotsAt + worker * sizeof(Slot));
}

RequestJournal::Record& RequestJournal::record(size_t index) {
  return *reinterpret_cast<Record*>(memory_ + kSlotsAt + kBuffers * sizeof(Slot) +
                                    index * sizeof(Record));
}

absl::StatusOr<std::unique_ptr<RequestJournal>> RequestJournal::Attach(int memory, bool afresh) {
  struct stat attributes = {};
  const int seals = fcntl(memory, F_GET_SEALS);
  // Memory that can shrink could kill us with SIGBUS.
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return absl::DataLossError("the journal of requests is not sealed");
  }
  if (fstat(memory, &attributes) != 0 || static_cast<size_t>(attributes.st_size) < BytesNeeded()) {
    return absl::DataLossError("the journal of requests is too small: it is not from this version");
  }
  void* mapped = mmap(nullptr, BytesNeeded(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        Format("cannot map the journal of requests: {}", strerror(errno)));
  }
  auto* header = static_cast<Header*>(mapped);
  if (afresh) memset(mapped, 0, BytesNeeded());
  if (header->magic == 0) header->magic = kMagic;
  if (header->magic != kMagic) {
    munmap(mapped, BytesNeeded());
    return absl::DataLossError("the journal of requests is of another version, or damaged");
  }
  return std::unique_ptr<RequestJournal>(new RequestJournal(mapped));
}

absl::StatusOr<std::unique_ptr<RequestJournal>> RequestJournal::MakePrivate() {
  void* mapped = mmap(nullptr, BytesNeeded(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        Format("cannot map the journal of requests: {}", strerror(errno)));
  }
  static_cast<Header*>(mapped)->magic = kMagic;
  return std::unique_ptr<RequestJournal>(new RequestJournal(mapped));
}

RequestJournal::Header& RequestJournal::header() { return *reinterpret_cast<Header*>(memory_); }

// Records that another server left are not free until somebody erases them.
void RequestJournal::CollectFree() {
  absl::MutexLock lock(&mutex_);
  const uint32_t used = std::min<uint32_t>(header().records_used, kRecords);
  free_.reserve(kRecords);
  for (uint32_t i = kRecords; i > 0; --i) {
    // What is neither free nor written was never one of ours, and would take the place for ever.
    if (i <= used && record(i - 1).state == Record::kWritten) continue;
    if (i <= used) record(i - 1).state = Record::kFree;
    free_.push_back(i - 1);
  }
}

void RequestJournal::TakeFromBuffers(MountId mount, std::vector<Left>& left) {
  const uint32_t used = std::min<uint32_t>(header().buffers_used, kBuffers);
  for (uint32_t i = 0; i < used; ++i) {
    Slot& from = slot(i);
    if (from.mount != mount.value()) continue;
    // Copied first: nobody but us shall be able to change what was checked.
    const std::vector<std::byte> bytes(from.request, from.request + kBufferBytes);
    const auto header = CompleteHeader(bytes);
    if (header.has_value()) {
      const auto request = std::span(bytes).first(header->len);
      const Use use = UseOf(*header, request);
      const MonotonicTime since = PlausibleSince(from.since);
      // Into a record first, so that a server that dies in the middle of this loses nothing. What
      // is too long for one (it cannot be parked) has only this chance.
      if (use != Use::kDrop && Park(mount, since, request).value() == 0) {
        left.push_back({.record = JournalRecord(0),
                        .mount = mount,
                        .since = since,
                        .request = {request.begin(), request.end()},
                        .serve = use == Use::kServe});
      }
    }
    EndRead(i);
  }
}

std::vector<RequestJournal::Left> RequestJournal::LeftOf(MountId mount) {
  std::vector<Left> left;
  TakeFromBuffers(mount, left);
  std::set<uint64_t> seen;
  const uint32_t used = std::min<uint32_t>(header().records_used, kRecords);
  for (uint32_t i = 0; i < used; ++i) {
    Record& candidate = record(i);
    if (candidate.state.load(std::memory_order_acquire) != Record::kWritten ||
        candidate.mount != mount.value()) {
      continue;
    }
    const std::vector<std::byte> bytes(candidate.request, candidate.request + kRecordBytes);
    const auto header = CompleteHeader(bytes);
    const Use use =
        header.has_value() ? UseOf(*header, std::span(bytes).first(header->len)) : Use::kDrop;
    if (use == Use::kDrop || !header.has_value() || !seen.insert(header->unique).second) {
      Erase(JournalRecord(i + 1));
      continue;
    }
    left.push_back({.record = JournalRecord(i + 1),
                    .mount = mount,
                    .since = PlausibleSince(candidate.since),
                    .request = {bytes.begin(), bytes.begin() + header->len},
                    .serve = use == Use::kServe});
  }
  std::stable_sort(left.begin(), left.end(),
                   [](const Left& a, const Left& b) { return a.since < b.since; });
  return left;
}

void RequestJournal::EraseAllBut(const std::vector<MountId>& mounts) {
  const auto is_gone = [&mounts](uint32_t mount) {
    return std::find(mounts.begin(), mounts.end(), MountId(mount)) == mounts.end();
  };
  const uint32_t used = std::min<uint32_t>(header().records_used, kRecords);
  for (uint32_t i = 0; i < used; ++i) {
    Record& candidate = record(i);
    if (candidate.state.load(std::memory_order_acquire) == Record::kWritten &&
        is_gone(candidate.mount)) {
      Erase(JournalRecord(i + 1));
    }
  }
}

std::span<std::byte> RequestJournal::Buffer(size_t worker) { return slot(worker).request; }

void RequestJournal::BeginRead(size_t worker, MountId mount) {
  Slot& into = slot(worker);
  if (header().buffers_used <= worker) RaiseTo(header().buffers_used, worker + 1);
  // A length of 0 says that the kernel gave nothing yet.
  memset(into.request, 0, sizeof(fuse_in_header));
  std::atomic_signal_fence(std::memory_order_release);
  into.mount = mount.value();
  into.since = std::chrono::steady_clock::now().time_since_epoch().count();
  std::atomic_signal_fence(std::memory_order_release);
}

void RequestJournal::EndRead(size_t worker) {
  memset(slot(worker).request, 0, sizeof(fuse_in_header));
}

JournalRecord RequestJournal::Park(MountId mount, MonotonicTime since,
                                   std::span<const std::byte> request) {
  if (request.size() > kRecordBytes) return JournalRecord(0);
  uint32_t index = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (free_.empty()) return JournalRecord(0);
    index = free_.back();
    free_.pop_back();
    RaiseTo(header().records_used, index + 1);
  }
  Record& into = record(index);
  into.mount = mount.value();
  into.since = since.time_since_epoch().count();
  memcpy(into.request, request.data(), request.size());
  into.state.store(Record::kWritten, std::memory_order_release);
  return JournalRecord(index + 1);
}

void RequestJournal::Erase(JournalRecord erased) {
  if (erased.value() == 0) return;
  record(erased.value() - 1).state.store(Record::kFree, std::memory_order_release);
  absl::MutexLock lock(&mutex_);
  free_.push_back(erased.value() - 1);
}

}  // namespace secretfs::fs
