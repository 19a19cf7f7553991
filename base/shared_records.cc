#include "base/shared_records.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "base/block_map.h"
#include "base/locked_memory.h"
#include "base/shared_records_layout.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs {
namespace {

using namespace shared_records;  // NOLINT(google-build-using-namespace): this file is its code

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
// Payloads are locked this much at a time, from the front.
constexpr size_t kLockStep = 64 * 1024;

absl::Status Errno(std::string_view what) {
  return absl::ResourceExhaustedError(Format("{}: {}", what, std::strerror(errno)));
}

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(Format("the shared memory is damaged: {}", what));
}

// The mapped memory of one memfd. Move-only.
class Mapping {
 public:
  static absl::StatusOr<Mapping> Of(UniqueFd memory, size_t bytes) {
    void* const base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (base == MAP_FAILED) return Errno("cannot map shared memory");
    madvise(base, bytes, MADV_DONTDUMP);
    return Mapping(std::move(memory), static_cast<std::byte*>(base), bytes);
  }
  Mapping(Mapping&& other) noexcept
      : memory_(std::move(other.memory_)),
        base_(std::exchange(other.base_, nullptr)),
        bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (base_ != nullptr) munmap(base_, bytes_);
  }

  int descriptor() const { return memory_.get(); }
  std::byte* base() const { return base_; }
  size_t bytes() const { return bytes_; }

  // Calls `visit(begin, end)` for the parts of a range that were ever written. The others read as
  // zeros, but reading them here would make them take memory.
  template <typename Visit>
  void ForEachWritten(size_t begin, size_t end, const Visit& visit) const {
    while (begin < end) {
      const off_t data = lseek(memory_.get(), static_cast<off_t>(begin), SEEK_DATA);
      if (data < 0 && errno == ENXIO) return;
      const off_t hole = data < 0 ? -1 : lseek(memory_.get(), data, SEEK_HOLE);
      if (hole < 0) return visit(begin, end);  // the kernel does not say: all of it
      const size_t from = std::max(begin, static_cast<size_t>(data));
      const size_t until = std::min(end, static_cast<size_t>(hole));
      if (from < until) visit(from, until);
      begin = std::max(until, static_cast<size_t>(hole));
    }
  }

 private:
  Mapping(UniqueFd memory, std::byte* base, size_t bytes)
      : memory_(std::move(memory)), base_(base), bytes_(bytes) {}

  UniqueFd memory_;
  std::byte* base_;
  size_t bytes_;
};

void WriteHeader(const Mapping& mapping, const Geometry& geometry, bool secret) {
  auto* const header = reinterpret_cast<Header*>(mapping.base());
  header->magic = kMagic;
  header->layout_version = kLayoutVersion;
  header->flags = secret ? kSecretFlag : 0;
  header->records = geometry.records;
  header->blocks = geometry.blocks;
  header->committed.store(0, std::memory_order_relaxed);
  header->checksum = ChecksumOf(*header);
}

absl::StatusOr<Mapping> MapSealed(int memory) {
  UniqueFd own(fcntl(memory, F_DUPFD_CLOEXEC, 0));
  struct stat attributes{};
  if (!own.valid() || fstat(own.get(), &attributes) != 0) return Errno("cannot open shared memory");
  const int seals = fcntl(own.get(), F_GET_SEALS);
  // Memory that can shrink could kill us with SIGBUS.
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return Damaged("it is not sealed");
  const auto bytes = static_cast<size_t>(attributes.st_size);
  if (bytes < kPage) return Damaged("it is too small");
  return Mapping::Of(std::move(own), bytes);
}

}  // namespace

class SharedRecords::Impl {
 public:
  Impl(Mapping mapping, Geometry geometry, bool secret)
      : mapping_(std::move(mapping)),
        geometry_(geometry),
        secret_(secret),
        header_(*reinterpret_cast<Header*>(mapping_.base())),
        entries_(reinterpret_cast<Entry*>(mapping_.base() + kDirectoryOffset)),
        heap_(mapping_.base() + geometry.heap_offset),
        used_(geometry.blocks) {}
  ~Impl() {
    if (secret_) ForgetLocked(locked_end_, not_locked_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::Status TakeOver();

  int memory() const { return mapping_.descriptor(); }
  bool secret() const { return secret_; }
  absl::StatusOr<RecordId> Insert(uint32_t type, std::span<const std::byte> payload);
  absl::Status Replace(RecordId record, std::span<const std::byte> payload);
  void Erase(RecordId record);
  void Commit();
  Word& counter(RecordId record) {
    if (record.value() >= geometry_.records) std::abort();
    return entries_[record.value()].counter;
  }
  template <typename Visit>
  void ForEach(const Visit& visit) const;
  std::span<const std::byte> payload(RecordId record) const {
    Entry* const entry = Find(record);
    return entry == nullptr ? std::span<const std::byte>() : PayloadOf(*entry);
  }
  size_t bytes_free() const { return size_t{used_.free()} * kBlock; }

 private:
  struct Place {
    uint32_t block = 0;
    uint32_t size = 0;
  };

  uint64_t committed() const { return header_.committed.load(std::memory_order_relaxed); }
  uint64_t transaction() const { return committed() + 1; }
  Entry* Find(RecordId record) const;
  std::span<const std::byte> PayloadOf(Entry& entry) const;
  static Slot& CurrentSlot(Entry& entry) {
    return entry.slots[SequenceOf(entry.slots[1]) > SequenceOf(entry.slots[0]) ? 1 : 0];
  }
  static uint64_t SequenceOf(const Slot& slot) {
    return slot.sequence.load(std::memory_order_relaxed);
  }
  static bool IsLive(const Entry& entry) {
    return entry.born.load(std::memory_order_relaxed) != 0 &&
           entry.died.load(std::memory_order_relaxed) == 0;
  }

  absl::Status CheckEntry(const Entry& entry);
  absl::Status CheckSlot(const Entry& entry, const Slot& slot, const Slot& other);
  void UndoEntry(Entry& entry);
  void WipeFree();

  std::optional<uint32_t> TakeEntry();
  absl::StatusOr<Place> Write(std::span<const std::byte> payload);
  void LockUntil(size_t heap_bytes);
  void DropSlot(Slot& slot);
  void Remove(uint32_t index);

  Mapping mapping_;
  const Geometry geometry_;
  const bool secret_;
  Header& header_;
  Entry* const entries_;
  std::byte* const heap_;

  // What follows is rebuilt by TakeOver. Blocks are used if a slot holds them whose transaction was
  // not undone, whether or not it was committed.
  BlockMap used_;
  // Entries below entries_end_ are in use or in free_entries_, lowest first.
  uint32_t entries_end_ = 0;
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free_entries_;
  uint64_t next_order_ = 1;
  // Records that the open transaction changed, some perhaps twice.
  std::vector<uint32_t> touched_;
  // The heap was locked up to here, except for so many bytes.
  size_t locked_end_ = 0;
  size_t not_locked_ = 0;
};

// --- Attach

absl::Status SharedRecords::Impl::CheckSlot(const Entry& entry, const Slot& slot,
                                            const Slot& other) {
  const uint64_t sequence = SequenceOf(slot);
  if (sequence == 0 || sequence == transaction()) return absl::OkStatus();
  if (sequence > committed() || sequence < entry.born.load(std::memory_order_relaxed) ||
      sequence == SequenceOf(other)) {
    return Damaged("a payload has an impossible transaction");
  }
  if (!used_.TakeThese(slot.block, static_cast<uint32_t>(BlocksFor(slot.size)))) {
    return Damaged("a payload lies outside the heap or on another one");
  }
  return absl::OkStatus();
}

absl::Status SharedRecords::Impl::CheckEntry(const Entry& entry) {
  const uint64_t born = entry.born.load(std::memory_order_acquire);
  const uint64_t died = entry.died.load(std::memory_order_relaxed);
  if (born > transaction() || died > transaction() || (died != 0 && died < born)) {
    return Damaged("a record has an impossible transaction");
  }
  // Never committed, or gone: nothing of it is used.
  if (born == transaction() || (died != 0 && died <= committed())) return absl::OkStatus();
  SECRETFS_RETURN_IF_ERROR(CheckSlot(entry, entry.slots[0], entry.slots[1]));
  SECRETFS_RETURN_IF_ERROR(CheckSlot(entry, entry.slots[1], entry.slots[0]));
  const auto holds = [this](const Slot& slot) {
    return SequenceOf(slot) != 0 && SequenceOf(slot) <= committed();
  };
  if (!holds(entry.slots[0]) && !holds(entry.slots[1])) return Damaged("a record has no payload");
  return absl::OkStatus();
}

// REQUIRES: CheckEntry was content.
void SharedRecords::Impl::UndoEntry(Entry& entry) {
  const uint64_t died = entry.died.load(std::memory_order_relaxed);
  if (entry.born.load(std::memory_order_relaxed) > committed() ||
      (died != 0 && died <= committed())) {
    entry.born.store(0, std::memory_order_release);
    return;
  }
  entry.died.store(0, std::memory_order_release);
  for (Slot& slot : entry.slots) {
    if (SequenceOf(slot) > committed()) slot.sequence.store(0, std::memory_order_release);
  }
  // A replaced payload that the last process had no time to clear.
  Slot& current = CurrentSlot(entry);
  Slot& other = &current == &entry.slots[0] ? entry.slots[1] : entry.slots[0];
  if (SequenceOf(other) != 0) DropSlot(other);
}

absl::Status SharedRecords::Impl::TakeOver() {
  if (committed() >= kMostTransactions) return Damaged("an impossible number of transactions");
  std::vector<uint32_t> in_use;
  absl::Status status;
  const size_t directory_end = kDirectoryOffset + size_t{geometry_.records} * sizeof(Entry);
  mapping_.ForEachWritten(kDirectoryOffset, directory_end, [&](size_t begin, size_t end) {
    // An entry may cross into a page that was never written; it is seen once.
    const size_t first = std::max<size_t>((begin - kDirectoryOffset) / sizeof(Entry),
                                          in_use.empty() ? 0 : in_use.back() + size_t{1});
    const size_t last = (end - kDirectoryOffset + sizeof(Entry) - 1) / sizeof(Entry);
    for (size_t index = first; index < std::min<size_t>(last, geometry_.records); ++index) {
      const Entry& entry = entries_[index];
      if (!status.ok() || entry.born.load(std::memory_order_relaxed) == 0) continue;
      in_use.push_back(static_cast<uint32_t>(index));
      status = CheckEntry(entry);
    }
  });
  SECRETFS_RETURN_IF_ERROR(status);
  // From here on the memory is changed.
  for (const uint32_t index : in_use) {
    Entry& entry = entries_[index];
    UndoEntry(entry);
    if (!IsLive(entry)) continue;
    for (; entries_end_ < index; ++entries_end_) free_entries_.push(entries_end_);
    entries_end_ = index + 1;
    next_order_ = std::max(next_order_, entry.order + 1);
  }
  if (secret_) WipeFree();
  return absl::OkStatus();
}

// What the last process wrote but did not commit, or had no time to wipe.
void SharedRecords::Impl::WipeFree() {
  mapping_.ForEachWritten(geometry_.heap_offset, mapping_.bytes(), [&](size_t begin, size_t end) {
    LockUntil(end - geometry_.heap_offset);
    const auto end_block = static_cast<uint32_t>(
        std::min<size_t>((end - geometry_.heap_offset) / kBlock, geometry_.blocks));
    auto block = static_cast<uint32_t>((begin - geometry_.heap_offset) / kBlock);
    while ((block = used_.NextFree(block)) < end_block) {
      const uint32_t until = std::min(used_.NextUsed(block), end_block);
      Wipe(heap_ + size_t{block} * kBlock, size_t{until - block} * kBlock);
      block = until;
    }
  });
}

// --- Changes

Entry* SharedRecords::Impl::Find(RecordId record) const {
  if (record.value() >= entries_end_) return nullptr;
  Entry& entry = entries_[record.value()];
  return IsLive(entry) ? &entry : nullptr;
}

std::optional<uint32_t> SharedRecords::Impl::TakeEntry() {
  if (!free_entries_.empty()) {
    const uint32_t index = free_entries_.top();
    free_entries_.pop();
    return index;
  }
  if (entries_end_ == geometry_.records) return std::nullopt;
  return entries_end_++;
}

void SharedRecords::Impl::LockUntil(size_t heap_bytes) {
  if (!secret_ || heap_bytes <= locked_end_) return;
  const size_t most = mapping_.bytes() - geometry_.heap_offset;
  const size_t end = std::min(most, (heap_bytes + kLockStep - 1) / kLockStep * kLockStep);
  if (!LockInPlace(heap_ + locked_end_, end - locked_end_)) not_locked_ += end - locked_end_;
  locked_end_ = end;
}

absl::StatusOr<SharedRecords::Impl::Place> SharedRecords::Impl::Write(
    std::span<const std::byte> payload) {
  const size_t count = BlocksFor(payload.size());
  std::optional<uint32_t> block;
  if (payload.size() <= std::numeric_limits<uint32_t>::max() && count <= geometry_.blocks) {
    block = used_.Take(static_cast<uint32_t>(count));
  }
  if (!block.has_value()) {
    return absl::ResourceExhaustedError(
        Format("no room for {} bytes in the shared memory: {} of {} are free", payload.size(),
               bytes_free(), size_t{geometry_.blocks} * kBlock));
  }
  const size_t offset = size_t{*block} * kBlock;
  LockUntil(offset + count * kBlock);
  if (!payload.empty()) std::memcpy(heap_ + offset, payload.data(), payload.size());
  return Place{*block, static_cast<uint32_t>(payload.size())};
}

absl::StatusOr<RecordId> SharedRecords::Impl::Insert(uint32_t type,
                                                     std::span<const std::byte> payload) {
  SECRETFS_ASSIGN_OR_RETURN(const Place place, Write(payload));
  const std::optional<uint32_t> index = TakeEntry();
  if (!index.has_value()) {
    used_.Release(place.block, static_cast<uint32_t>(BlocksFor(place.size)));
    if (secret_) Wipe(heap_ + size_t{place.block} * kBlock, place.size);
    return absl::ResourceExhaustedError(Format(
        "no room for a further record in the shared memory: all {} are in use", geometry_.records));
  }
  Entry& entry = entries_[*index];
  entry.died.store(0, std::memory_order_relaxed);
  entry.counter.store(0, std::memory_order_relaxed);
  entry.order = next_order_++;
  entry.type = type;
  entry.slots[0].block = place.block;
  entry.slots[0].size = place.size;
  entry.slots[0].sequence.store(transaction(), std::memory_order_relaxed);
  entry.slots[1].sequence.store(0, std::memory_order_relaxed);
  entry.born.store(transaction(), std::memory_order_release);
  touched_.push_back(*index);
  return RecordId(*index);
}

absl::Status SharedRecords::Impl::Replace(RecordId record, std::span<const std::byte> payload) {
  Entry* const entry = Find(record);
  if (entry == nullptr) {
    return absl::NotFoundError(Format("there is no record {}", record.value()));
  }
  SECRETFS_ASSIGN_OR_RETURN(const Place place, Write(payload));
  Slot* slot = &CurrentSlot(*entry);
  if (SequenceOf(*slot) == transaction()) {
    DropSlot(*slot);  // the second time in one transaction: the first was never seen
  } else {
    slot = slot == &entry->slots[0] ? &entry->slots[1] : &entry->slots[0];
  }
  slot->block = place.block;
  slot->size = place.size;
  slot->sequence.store(transaction(), std::memory_order_release);
  touched_.push_back(record.value());
  return absl::OkStatus();
}

void SharedRecords::Impl::Erase(RecordId record) {
  Entry* const entry = Find(record);
  if (entry == nullptr) return;
  if (entry->born.load(std::memory_order_relaxed) == transaction()) return Remove(record.value());
  entry->died.store(transaction(), std::memory_order_release);
  touched_.push_back(record.value());
}

// The fences keep the compiler from moving stores across the one that commits; the memory of a
// killed process is coherent.
void SharedRecords::Impl::Commit() {
  if (touched_.empty()) return;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  header_.committed.store(transaction(), std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (const uint32_t index : touched_) {
    Entry& entry = entries_[index];
    if (entry.born.load(std::memory_order_relaxed) == 0) continue;  // was removed already
    if (!IsLive(entry)) {
      Remove(index);
      continue;
    }
    Slot& current = CurrentSlot(entry);
    Slot& other = &current == &entry.slots[0] ? entry.slots[1] : entry.slots[0];
    if (SequenceOf(other) != 0) DropSlot(other);
  }
  touched_.clear();
}

void SharedRecords::Impl::DropSlot(Slot& slot) {
  const uint32_t block = slot.block;
  const size_t count = BlocksFor(slot.size);
  slot.sequence.store(0, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (block >= geometry_.blocks || count > geometry_.blocks - block) return;
  if (secret_) Wipe(heap_ + size_t{block} * kBlock, count * kBlock);
  used_.Release(block, static_cast<uint32_t>(count));
}

void SharedRecords::Impl::Remove(uint32_t index) {
  Entry& entry = entries_[index];
  entry.born.store(0, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (Slot& slot : entry.slots) {
    if (SequenceOf(slot) != 0) DropSlot(slot);
  }
  free_entries_.push(index);
}

// Checked at Attach, but somebody else might write to the memory.
std::span<const std::byte> SharedRecords::Impl::PayloadOf(Entry& entry) const {
  const Slot& slot = CurrentSlot(entry);
  const uint32_t block = slot.block;
  const uint32_t size = slot.size;
  if (block >= geometry_.blocks || BlocksFor(size) > geometry_.blocks - block) return {};
  return {heap_ + size_t{block} * kBlock, size};
}

template <typename Visit>
void SharedRecords::Impl::ForEach(const Visit& visit) const {
  std::vector<std::pair<uint64_t, uint32_t>> in_order;
  for (uint32_t index = 0; index < entries_end_; ++index) {
    if (IsLive(entries_[index])) in_order.emplace_back(entries_[index].order, index);
  }
  std::sort(in_order.begin(), in_order.end());
  for (const auto& [order, index] : in_order) {
    visit(RecordId(index), entries_[index].type, PayloadOf(entries_[index]));
  }
}

// --- SharedRecords

SharedRecords::SharedRecords(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SharedRecords::SharedRecords(SharedRecords&&) noexcept = default;
SharedRecords& SharedRecords::operator=(SharedRecords&&) noexcept = default;
SharedRecords::~SharedRecords() = default;

absl::StatusOr<SharedRecords> SharedRecords::Create(const Options& options) {
  constexpr size_t kMost = std::numeric_limits<int32_t>::max();
  if (options.records > kMost || options.bytes > kMost * kBlock) {
    return absl::InvalidArgumentError(Format("{} records of {} bytes are more than can be shared",
                                             options.records, options.bytes));
  }
  const Geometry geometry = GeometryOf(static_cast<uint32_t>(options.records),
                                       static_cast<uint32_t>(BlocksFor(options.bytes)));
  UniqueFd memory(memfd_create("secretfs", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return Errno("cannot make shared memory");
  if (ftruncate(memory.get(), static_cast<off_t>(geometry.total)) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
    return Errno("cannot make shared memory");
  }
  SECRETFS_ASSIGN_OR_RETURN(Mapping mapping, Mapping::Of(std::move(memory), geometry.total));
  WriteHeader(mapping, geometry, options.secret);
  return SharedRecords(std::make_unique<Impl>(std::move(mapping), geometry, options.secret));
}

absl::StatusOr<SharedRecords> SharedRecords::Reset(int memory, size_t bytes_per_record,
                                                   bool secret) {
  SECRETFS_ASSIGN_OR_RETURN(Mapping mapping, MapSealed(memory));
  mapping.ForEachWritten(0, mapping.bytes(), [&mapping](size_t begin, size_t end) {
    Wipe(mapping.base() + begin, end - begin);
  });
  // As large as the memory is; how it was divided before is nobody's word to be taken.
  const size_t records = mapping.bytes() / (bytes_per_record + sizeof(Entry));
  constexpr size_t kMost = std::numeric_limits<int32_t>::max();
  if (records > kMost) return Damaged("it is too large");
  const size_t heap_offset = GeometryOf(static_cast<uint32_t>(records), 0).heap_offset;
  if (heap_offset > mapping.bytes() || (mapping.bytes() - heap_offset) / kBlock > kMost) {
    return Damaged("it has an impossible size");
  }
  const Geometry geometry =
      GeometryOf(static_cast<uint32_t>(records),
                 static_cast<uint32_t>((mapping.bytes() - heap_offset) / kBlock));
  if (geometry.total != mapping.bytes()) return Damaged("it has an impossible size");
  WriteHeader(mapping, geometry, secret);
  return SharedRecords(std::make_unique<Impl>(std::move(mapping), geometry, secret));
}

absl::StatusOr<SharedRecords> SharedRecords::Attach(int memory) {
  SECRETFS_ASSIGN_OR_RETURN(Mapping mapping, MapSealed(memory));
  const auto& header = *reinterpret_cast<const Header*>(mapping.base());
  if (header.magic != kMagic) return Damaged("it does not begin with our mark");
  if (header.layout_version != kLayoutVersion) {
    return absl::FailedPreconditionError(
        Format("the shared memory has layout version {}, but this program knows version {} only",
               header.layout_version, kLayoutVersion));
  }
  const Geometry geometry = GeometryOf(header.records, header.blocks);
  if (header.checksum != ChecksumOf(header) || geometry.total != mapping.bytes()) {
    return Damaged("its header is inconsistent");
  }
  const bool secret = (header.flags & kSecretFlag) != 0;
  auto impl = std::make_unique<Impl>(std::move(mapping), geometry, secret);
  SECRETFS_RETURN_IF_ERROR(impl->TakeOver());
  return SharedRecords(std::move(impl));
}

int SharedRecords::memory() const { return impl_->memory(); }
bool SharedRecords::secret() const { return impl_->secret(); }
absl::StatusOr<RecordId> SharedRecords::Insert(uint32_t type, std::span<const std::byte> payload) {
  return impl_->Insert(type, payload);
}
absl::Status SharedRecords::Replace(RecordId record, std::span<const std::byte> payload) {
  return impl_->Replace(record, payload);
}
void SharedRecords::Erase(RecordId record) { impl_->Erase(record); }
void SharedRecords::Commit() { impl_->Commit(); }
std::atomic<uint64_t>& SharedRecords::counter(RecordId record) { return impl_->counter(record); }
void SharedRecords::ForEach(
    const std::function<void(RecordId, uint32_t type, std::span<const std::byte> payload)>& visit)
    const {
  impl_->ForEach(visit);
}
std::span<const std::byte> SharedRecords::payload(RecordId record) const {
  return impl_->payload(record);
}
size_t SharedRecords::bytes_free() const { return impl_->bytes_free(); }

}  // namespace secretfs
