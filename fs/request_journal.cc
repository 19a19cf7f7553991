#include "fs/request_journal.h"

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

// Of a request that the kernel gave completely; nothing otherwise.
std::optional<fuse_in_header> CompleteHeader(std::span<const std::byte> bytes) {
  fuse_in_header header;
  if (bytes.size() < sizeof(header)) return std::nullopt;
  memcpy(&header, bytes.data(), sizeof(header));
  if (header.len < sizeof(header) || header.len > bytes.size()) return std::nullopt;
  return header;
}

// Requests without a reply: nobody waits for them, and taking a FORGET twice would be worse than
// not at all.
bool HasReply(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
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

absl::StatusOr<std::unique_ptr<RequestJournal>> RequestJournal::Attach(int memory) {
  struct stat attributes = {};
  if (fstat(memory, &attributes) != 0 || static_cast<size_t>(attributes.st_size) < BytesNeeded()) {
    return absl::DataLossError("the journal of requests is too small: it is not from this version");
  }
  void* mapped = mmap(nullptr, BytesNeeded(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        Format("cannot map the journal of requests: {}", strerror(errno)));
  }
  auto* header = static_cast<Header*>(mapped);
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
    if (i <= used && record(i - 1).state != Record::kFree) continue;
    free_.push_back(i - 1);
  }
}

void RequestJournal::TakeFromBuffers(MountId mount, std::vector<Left>& left) {
  const uint32_t used = std::min<uint32_t>(header().buffers_used, kBuffers);
  for (uint32_t i = 0; i < used; ++i) {
    Slot& from = slot(i);
    if (from.mount != mount.value()) continue;
    const auto header = CompleteHeader(from.request);
    if (header && HasReply(header->opcode)) {
      const MonotonicTime since{std::chrono::nanoseconds(from.since)};
      const auto request = std::span(from.request).first(header->len);
      // Into a record first, so that a server that dies in the middle of this loses nothing. What
      // is too long for one (it cannot be parked) has only this chance.
      if (Park(mount, since, request).value() == 0) {
        left.push_back({.record = JournalRecord(0),
                        .mount = mount,
                        .since = since,
                        .request = {request.begin(), request.end()}});
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
    const auto header = CompleteHeader(candidate.request);
    if (!header || !HasReply(header->opcode) || !seen.insert(header->unique).second) {
      Erase(JournalRecord(i + 1));
      continue;
    }
    left.push_back({.record = JournalRecord(i + 1),
                    .mount = mount,
                    .since = MonotonicTime(std::chrono::nanoseconds(candidate.since)),
                    .request = {candidate.request, candidate.request + header->len}});
  }
  std::stable_sort(left.begin(), left.end(),
                   [](const Left& a, const Left& b) { return a.since < b.since; });
  return left;
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
