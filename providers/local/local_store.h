#pragma once

// The encrypted local store as programs use it: open it, read a snapshot, change it in a
// transaction. A change is decrypted, re-encrypted under a fresh file key and written to a new file
// that replaces the old one (store_file.h), under the writers' lock: all of a transaction is there
// or nothing, a crash at any moment leaves the old or the new state, and writers that run at once
// lose nothing. Readers need no lock.
//
// What is removed is kept for kRemovedKept, in the same file, and can be restored; nobody who reads
// secrets sees it. The first write after that time leaves it out for good, and Purge does so at
// once.
//
// A damaged value does not stop work on the others, but it is never carried over either: a change
// fails with DataLoss naming it until that secret or version is removed, which destroys it, because
// there is nothing to bring back.
//
// Thread-safety: one thread at a time for each LocalStore; any number of LocalStores, in any number
// of processes, on one file.

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/local/store_file.h"
#include "providers/local/store_key.h"
#include "providers/local/store_snapshot.h"

namespace secretfs::providers::local {

using SnapshotPtr = std::shared_ptr<const StoreSnapshot>;

// How long removed versions can be brought back. At most kMaximumVersionsLimit of one name are
// kept.
inline constexpr Duration kRemovedKept = std::chrono::hours(30 * 24);

// What one Update does, in memory until it is committed.
class StoreTransaction {
 public:
  // REQUIRES: `clock` outlives the transaction.
  StoreTransaction(SnapshotPtr base, const Clock& clock);

  // The state as this transaction has made it so far. Values of versions that it added are not in
  // the base snapshot: read them with Value.
  const StoreIndex& index() const { return index_; }
  absl::StatusOr<SecretBytes> Value(std::string_view name, const VersionEntry& version) const;

  // Adds a version, and drops the oldest ones beyond the store's number of versions.
  // InvalidArgument for a bad name, ResourceExhausted for a value that is too large.
  absl::Status Put(std::string_view name, SecretBytes value);
  // The secret and all its versions, kept to be restored. NotFound.
  absl::Status Remove(std::string_view name);
  // One version, kept to be restored; with its last version the secret goes. NotFound.
  absl::Status RemoveVersion(std::string_view name, uint64_t number);
  // Brings back what the newest removal of `name` took, or one version; their numbers are the old
  // ones, so what was put since stays the newest. Which they are. NotFound; FailedPrecondition if
  // the secret would have more versions than any may have.
  absl::StatusOr<std::vector<uint64_t>> Restore(std::string_view name);
  absl::StatusOr<std::vector<uint64_t>> RestoreVersion(std::string_view name, uint64_t number);
  // Destroys what was removed of `name`: how many versions. NotFound if there is nothing.
  absl::StatusOr<size_t> Purge(std::string_view name);
  // Destroys what was removed before `time`: how many versions.
  size_t PurgeRemovedBefore(WallTime time);
  // Drops what is beyond the new number. InvalidArgument outside 1 to kMaximumVersionsLimit.
  absl::Status SetMaximumVersions(uint32_t count);

  bool changed() const { return changed_; }

 private:
  friend class LocalStore;
  void Prune(SecretEntry& entry);
  void KeepRemoved(const std::string& name, uint64_t next_number, const VersionEntry& version);
  absl::StatusOr<std::vector<uint64_t>> RestoreIf(
      std::string_view name, const std::function<bool(const RemovedVersion&)>& wanted);
  size_t DropRemovedIf(const std::function<bool(const RemovedVersion&)>& unwanted);

  SnapshotPtr base_;
  const Clock& clock_;
  // One time for all that is removed: it says what a restore brings back together.
  const WallTime removal_time_;
  StoreIndex index_;
  // Values of added versions, by VersionEntry::record, which counts on from the base's records.
  std::unordered_map<uint32_t, SecretBytes> added_;
  uint32_t next_record_;
  bool changed_ = false;
};

struct LocalStoreOptions {
  Duration lock_patience = std::chrono::seconds(30);
};

class LocalStore {
 public:
  // Nothing is read yet. REQUIRES: `clock` outlives the store.
  LocalStore(std::string path, KeySource key, const Clock& clock, LocalStoreOptions options = {});

  // Makes an empty store with mode 0600; its folder must exist. AlreadyExists.
  static absl::Status Create(const std::string& path, const MasterKey& key,
                             uint32_t maximum_versions);

  // The state now. Errors as StoreSnapshot::Open.
  absl::StatusOr<SnapshotPtr> Read();

  // Runs `change` on the newest state while no other writer can, and commits what it did if it
  // returns OK and changed anything. When this returns OK the change is on disk.
  absl::Status Update(const std::function<absl::Status(StoreTransaction&)>& change);

  // Closes the store with another key. Readers and writers need the new one afterwards.
  // AlreadyExists if it is the key that the store has.
  absl::Status Rekey(const MasterKey& new_key);

  // Closes the store with a fresh key, which is put into the key file at `key_file` in front of the
  // one that opens the store now. That one and all others stay there: other stores and copies of
  // this one go on, and a crash or a reader at any moment finds a key that fits. FailedPrecondition
  // if that file does not hold the store's key.
  absl::Status ReplaceKey(const std::string& key_file);

  // Takes the keys that ReplaceKey has replaced out of `key_file`: how many. FailedPrecondition
  // naming one of `others` (store files) that is opened by such a key and by none that stays.
  absl::StatusOr<size_t> DropReplacedKeys(const std::string& key_file,
                                          const std::vector<std::string>& others);

  const std::string& path() const { return path_; }

 private:
  struct Locked {
    WriterLock lock;
    SnapshotPtr base;
  };
  // The newest state, while no other writer can change it.
  absl::StatusOr<Locked> Lock();
  absl::Status Commit(const StoreTransaction& transaction, const MasterKey& key);

  std::string path_;
  KeySource key_;
  const Clock& clock_;
  LocalStoreOptions options_;
};

}  // namespace secretfs::providers::local
