#pragma once

// How SharedRecords lie in their memory: a header, a directory of entries, a heap of blocks. Plain
// structs that are mapped as they are; everything in them was perhaps written by another process,
// or damaged. A change here is a new kLayoutVersion.
//
// The rules that make it survive a SIGKILL between any two instructions (all stores in the order
// named here):
//
//  - A transaction has the number committed + 1. Commit is the one store that raises `committed`.
//  - An entry with born = 0 is free, whatever else it holds. Insert writes the payload, then the
//    entry, then `born`.
//  - Erase writes `died`. Replace writes the payload, then the slot that is not the current one:
//    its place, then its sequence. What was committed stays untouched.
//  - After Commit, what it made unreachable is cleared: a dead entry's `born`, a replaced slot's
//    `sequence`. Only then are its blocks wiped and used again.
//
// So a process that attaches finds the committed state by taking numbers above `committed` for not
// written, and clears what is left of it before the number is used again. Nothing of that needs to
// be undone in order, and doing it twice does no harm.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace secretfs::shared_records {

constexpr uint64_t kMagic = 0x73667265636f7264;  // "sfrecord"
constexpr uint32_t kLayoutVersion = 1;
constexpr size_t kBlock = 64;
constexpr size_t kPage = 4096;
constexpr size_t kDirectoryOffset = 128;
constexpr uint32_t kSecretFlag = 1;
// No writer gets there; a larger number is damage.
constexpr uint64_t kMostTransactions = uint64_t{1} << 62;

using Word = std::atomic<uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

struct Header {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t flags;
  uint32_t records;
  uint32_t blocks;
  uint64_t checksum;  // of all before
  Word committed;
};
static_assert(sizeof(Header) <= kDirectoryOffset);

struct Slot {
  Word sequence;  // of the transaction that wrote it; 0: none
  uint32_t block;
  uint32_t size;  // bytes
};

struct Entry {
  Word born;       // the transaction that inserted it; 0: the entry is free
  Word died;       // the transaction that erased it; 0: none
  Word counter;    // the record's own
  uint64_t order;  // of insertion, never used twice
  uint32_t type;
  uint32_t unused;
  // The one with the higher sequence holds.
  Slot slots[2];
};
static_assert(sizeof(Slot) == 16 && sizeof(Entry) == 72);

// FNV-1a: finds damage, not intent.
inline uint64_t ChecksumOf(const Header& header) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const uint64_t part : {header.magic, uint64_t{header.layout_version}, uint64_t{header.flags},
                              uint64_t{header.records}, uint64_t{header.blocks}}) {
    for (int shift = 0; shift < 64; shift += 8) {
      sum = (sum ^ ((part >> shift) & 0xff)) * 0x100000001b3;
    }
  }
  return sum;
}

inline size_t BlocksFor(size_t bytes) { return (bytes + kBlock - 1) / kBlock; }

// Where things are; sizes in bytes. The heap begins on a page of its own.
struct Geometry {
  uint32_t records = 0;
  uint32_t blocks = 0;
  size_t heap_offset = 0;
  size_t total = 0;
};
inline Geometry GeometryOf(uint32_t records, uint32_t blocks) {
  const auto pages = [](size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; };
  const size_t heap_offset = pages(kDirectoryOffset + size_t{records} * sizeof(Entry));
  return {records, blocks, heap_offset, pages(heap_offset + size_t{blocks} * kBlock)};
}

}  // namespace secretfs::shared_records
