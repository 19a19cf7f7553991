#pragma once

// The encrypted local store as programs use it: open it, read a snapshot, change it in a
// transaction. A change is decrypted, re-encrypted under a fresh file key and written to a new file
// that replaces the old one (store_file.h), under the writers' lock: all of a transaction is there
// or nothing, a crash at any moment leaves the old or the new state, and writers that run at once
// lose nothing. Readers need no lock.
//
// A damaged value does not stop work on the others, but it is never carried over either: a change
// fails with DataLoss naming it until that secret or version is removed.
//
// Thread-safety: one thread at a time for each LocalStore; any number of LocalStores, in any number
// of processes, on one file.

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/local/store_key.h"
#include "providers/local/store_snapshot.h"

namespace secretfs::providers::local {

using SnapshotPtr = std::shared_ptr<const StoreSnapshot>;

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
  // The secret and all its versions. NotFound.
  absl::Status Remove(std::string_view name);
  // One version; with its last version the secret goes. NotFound.
  absl::Status RemoveVersion(std::string_view name, uint64_t number);
  // Drops what is beyond the new number. InvalidArgument outside 1 to kMaximumVersionsLimit.
  absl::Status SetMaximumVersions(uint32_t count);

  bool changed() const { return changed_; }

 private:
  friend class LocalStore;
  void Prune(SecretEntry& entry);

  SnapshotPtr base_;
  const Clock& clock_;
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
  absl::Status Rekey(const MasterKey& new_key);

  // Replaces the key in the key file at `key_file`, which opens the store now, by a fresh one, and
  // closes the store with it. In between the file holds both, so a crash or a reader at any moment
  // finds a key that fits. FailedPrecondition if the store is closed with a passphrase.
  absl::Status ReplaceKey(const std::string& key_file);

  const std::string& path() const { return path_; }

 private:
  absl::Status Commit(const StoreTransaction& transaction, const MasterKey& key);

  std::string path_;
  KeySource key_;
  const Clock& clock_;
  LocalStoreOptions options_;
};

}  // namespace secretfs::providers::local
