#pragma once

// The requests that were read from the kernel and not answered yet, in memory that outlives the
// server: so the next server can answer what the last one took along when it died, on kernels that
// cannot resend (FUSE_NOTIFY_RESEND, Linux 6.9). It also remembers since when each has waited.
//
// Workers read straight into the journal: there is no instruction between the kernel's giving away
// a request and its standing here. A request that is answered while it is dispatched leaves with
// the buffer's next use; one that is parked moves to a record of its own until it is answered.
//
// Thread-safety: a buffer belongs to one worker; all else may be called from any thread. One
// process at a time writes.
//
// What another server left is believed as little as can be: whoever took that one over could write
// any request. Handed on is what has the form of a request that only reads, with every length
// checked, so that whoever parses it finds what he expects. Requests that change (the publisher's,
// who repeats them) are given back as such, to be refused by their number. It answers nothing
// itself.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/unique_fd.h"
#include "fs/holder/holder_client.h"

namespace secretfs::fs {

using JournalRecord = StrongId<struct JournalRecordTag, uint32_t>;

class RequestJournal {
 public:
  // What a worker's buffer holds: the largest request with the max_write of FuseChannel, and not
  // below the kernel's FUSE_MIN_READ_BUFFER.
  static constexpr size_t kBufferBytes = 8192;
  static constexpr size_t kBuffers = 64;
  static constexpr size_t kRecords = 8192;
  // The longest request that can be parked: LOOKUP with a name of 255 bytes.
  static constexpr size_t kRecordBytes = 384;
  // What the memory must have.
  static size_t BytesNeeded();

  // `memory` is duplicated; all zero stands for a new journal. DataLoss when it is not ours; with
  // `afresh`, whatever stands there is wiped first.
  static absl::StatusOr<std::unique_ptr<RequestJournal>> Attach(int memory, bool afresh = false);
  // In memory that goes with the process: for mounts without a holder.
  static absl::StatusOr<std::unique_ptr<RequestJournal>> MakePrivate();
  ~RequestJournal();
  RequestJournal(const RequestJournal&) = delete;
  RequestJournal& operator=(const RequestJournal&) = delete;

  // A request that another server left.
  struct Left {
    JournalRecord record;
    MountId mount;
    MonotonicTime since;  // not in the future
    std::vector<std::byte> request;
    bool serve = true;  // false: to be answered with an error, and never to be parsed
  };
  // All of `mount`, oldest first. Each stays in its record until that is erased. REQUIRES: no
  // worker has begun to read.
  std::vector<Left> LeftOf(MountId mount);
  // Frees what belongs to other mounts than these: they have ended.
  void EraseAllBut(const std::vector<MountId>& mounts);

  // The buffer of one worker; kBufferBytes.
  std::span<std::byte> Buffer(size_t worker);
  // The worker is about to read a request of `mount` into its buffer, or has nothing in it any
  // more.
  void BeginRead(size_t worker, MountId mount);
  void EndRead(size_t worker);

  // Copies a request that is going to wait. Record 0: there is no room (it is served all the same,
  // and lost if the server dies on a kernel that cannot resend).
  JournalRecord Park(MountId mount, MonotonicTime since, std::span<const std::byte> request);
  void Erase(JournalRecord record);

 private:
  struct Header;
  struct Slot;
  struct Record;

  explicit RequestJournal(void* memory);
  void CollectFree();
  void TakeFromBuffers(MountId mount, std::vector<Left>& left);
  Header& header();
  Slot& slot(size_t worker);
  Record& record(size_t index);

  std::byte* const memory_;
  absl::Mutex mutex_;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);  // indexes of records, the next one last
};

}  // namespace secretfs::fs
