#pragma once

// Records in memory that outlives the process: a sealed memfd which the holder keeps, so that the
// next server finds what the last one committed, at whatever instruction it was killed.
//
// Changes are made in transactions: what Insert, Replace and Erase did since the last Commit is
// seen by a later Attach all together or not at all. Each record also has one 64-bit counter, which
// changes at once. Nothing here is written to disk; the memory is left out of core dumps, and
// locked if `secret`.
//
// Thread-safety: none, the owner's lock guards it; counter() alone may be used without. One process
// at a time may change it. Attach trusts nothing that it reads: damaged memory is an error, never
// undefined behaviour.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "base/unique_fd.h"

namespace secretfs {

using RecordId = StrongId<struct RecordIdTag, uint32_t>;

class SharedRecords {
 public:
  struct Options {
    size_t bytes = 0;    // of payload, at most; memory is only used as it is needed
    size_t records = 0;  // at most
    // Payloads are locked in memory as far as the limits allow, and wiped when they go.
    bool secret = false;
  };
  // A new memfd, sealed against shrinking and growing.
  static absl::StatusOr<SharedRecords> Create(const Options& options);
  // What Create's memory holds now; changes that were not committed are undone. `memory` is
  // duplicated. DataLoss when it is not ours or is damaged; FailedPrecondition, naming both, for a
  // layout of another version.
  static absl::StatusOr<SharedRecords> Attach(int memory);

  // Memory that Create made, with nothing in it, whatever stands there now: for what another
  // process damaged. All that was written is wiped. Errors as Attach's for memory that is not
  // sealed.
  static absl::StatusOr<SharedRecords> Reset(int memory, size_t bytes_per_record, bool secret);

  SharedRecords(SharedRecords&&) noexcept;
  SharedRecords& operator=(SharedRecords&&) noexcept;
  ~SharedRecords();  // the memory stays as it is

  int memory() const;  // the memfd, for handing it on
  bool secret() const;

  // ResourceExhausted when it does not fit; nothing has changed then.
  absl::StatusOr<RecordId> Insert(uint32_t type, std::span<const std::byte> payload);
  // Keeps the record's id and counter.
  absl::Status Replace(RecordId record, std::span<const std::byte> payload);
  void Erase(RecordId record);
  void Commit();

  // Lives as long as the record and this object.
  std::atomic<uint64_t>& counter(RecordId record);

  // Every record that is there now, in the order of insertion. The payload is valid during the
  // call.
  void ForEach(const std::function<void(RecordId, uint32_t type,
                                        std::span<const std::byte> payload)>& visit) const;

  // One record's payload, valid until the next change; empty if the record is not there.
  std::span<const std::byte> payload(RecordId record) const;

  size_t bytes_free() const;

 private:
  class Impl;
  explicit SharedRecords(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace secretfs
