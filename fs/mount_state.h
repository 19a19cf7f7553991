#pragma once

// What outlives the server of one mount, apart from values: the tree with every inode that the
// kernel knows, plans that the publisher may not have carried out, the INIT exchange, and notes of
// whoever serves. A server writes as it goes, each change of the tree in one transaction before
// anybody is told of it; the next server finds the last transaction that was finished.
//
// Thread-safety: all functions may be called from any thread; a Transaction holds a lock. Knows the
// payloads (fs/mount_state_format.h) but not the tree: see OperationsImpl::Save and Restore.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/shared_records.h"
#include "fs/mount_state_format.h"

namespace secretfs::fs {

// For whoever makes the memory of a mount. It is only used as it is needed: about 300 bytes for
// each inode that the kernel knows.
inline SharedRecords::Options MountStateMemory() {
  return {.bytes = size_t{64} << 20, .records = size_t{1} << 18, .secret = false};
}

// The tree as a server left it.
struct SavedTree {
  template <typename T>
  struct Kept {
    RecordId record;
    T value;
  };
  std::optional<Kept<saved::Tree>> tree;   // not set: no server has served the mount yet
  std::vector<Kept<saved::Inode>> inodes;  // by number
  std::vector<Kept<saved::Slot>> slots;
  std::vector<Kept<saved::View>> views;
  std::vector<Kept<saved::Plan>> plans;  // in the order in which they were made
};

class MountState {
 public:
  using Init = saved::Init;

  // In new memory; for tests and for servers without a holder.
  static absl::StatusOr<std::unique_ptr<MountState>> Create();
  // In memory that SharedRecords::Create made (MountStateMemory), written by earlier servers or by
  // nobody. Reads all of it: DataLoss when it is damaged, FailedPrecondition when another version
  // of the program wrote it in a way that this one cannot read.
  static absl::StatusOr<std::unique_ptr<MountState>> Attach(int memory);
  MountState(const MountState&) = delete;
  MountState& operator=(const MountState&) = delete;

  int memory() const;

  // The INIT exchange of the connection: kept together, or not at all.
  absl::Status SaveInit(std::span<const std::byte> request, std::span<const std::byte> reply);
  std::optional<Init> init() const;

  // Short texts of others, by name; the last one of a name counts.
  absl::Status SaveNote(std::string_view name, std::string_view text);
  std::optional<std::string> Note(std::string_view name) const;

  // What Attach found. Once.
  SavedTree TakeTree();

  // Changes that a later Attach sees all together or not at all.
  class ABSL_SCOPED_LOCKABLE Transaction {
   public:
    explicit Transaction(MountState& state) ABSL_EXCLUSIVE_LOCK_FUNCTION(state.mutex_);
    ~Transaction() ABSL_UNLOCK_FUNCTION();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    // Writes `payload` to `record`, or makes one. False when there is no room: the record is then
    // as it was before, and a warning was logged.
    bool Put(std::optional<RecordId>& record, saved::RecordType type, std::string_view payload);
    void Erase(RecordId record);

   private:
    MountState& state_;
  };

  // Of a record of this state; to be changed under the lock of whoever owns the record.
  std::atomic<uint64_t>& counter(RecordId record) { return records_.counter(record); }

 private:
  explicit MountState(SharedRecords records) : records_(std::move(records)) {}
  absl::Status Load();
  absl::Status LoadRecord(RecordId record, uint32_t type, saved::Payload payload)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckTree() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  // mutex_ protects the following state, and all of records_ but its counters.
  SharedRecords records_;
  std::optional<RecordId> format_ ABSL_GUARDED_BY(mutex_);
  std::optional<RecordId> init_record_ ABSL_GUARDED_BY(mutex_);
  std::optional<Init> init_ ABSL_GUARDED_BY(mutex_);
  struct KeptNote {
    std::optional<RecordId> record;
    std::string text;
  };
  std::map<std::string, KeptNote, std::less<>> notes_ ABSL_GUARDED_BY(mutex_);
  SavedTree tree_ ABSL_GUARDED_BY(mutex_);
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // and said so
};

}  // namespace secretfs::fs
