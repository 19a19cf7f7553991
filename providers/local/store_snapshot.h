#pragma once

// One generation of a store file, opened and unlocked: its names and versions in memory, its values
// still encrypted on disk until they are asked for. Writers replace the file and never change it,
// so a snapshot stays whole however often the store is written meanwhile; what is read from one
// snapshot is of one generation.
//
// Thread-safety: immutable, but reading values uses one cipher context: one thread at a time.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"
#include "providers/local/store_cipher.h"
#include "providers/local/store_file.h"
#include "providers/local/store_format.h"
#include "providers/local/store_key.h"

namespace secretfs::providers::local {

// A value record that does not decrypt, and whose it is.
struct DamagedRecord {
  uint32_t record = 0;
  std::string name;
  uint64_t version = 0;
  bool removed = false;  // kept only to be brought back
};

class StoreSnapshot {
 public:
  // Opens the file at `path` with a key of `key`. FailedPrecondition when there is no file;
  // Unauthenticated or PermissionDenied from the key; DataLoss naming the damaged part.
  static absl::StatusOr<std::shared_ptr<const StoreSnapshot>> Open(const std::string& path,
                                                                   KeySource& key);

  // The header of the file at `path`, which needs no key: how it is closed.
  static absl::StatusOr<StoreHeader> ReadHeader(const std::string& path);

  const StoreHeader& header() const { return header_; }
  const StoreIndex& index() const { return index_; }
  const SecretBytes& master_key() const { return master_key_; }
  const FileIdentity& identity() const { return identity_; }

  // Null when there is no such secret.
  const SecretEntry* Find(std::string_view name) const;

  // The value of `version`, an entry of this snapshot's index. DataLoss, naming record and secret,
  // when its bytes are damaged.
  absl::StatusOr<SecretBytes> ReadValue(std::string_view name, const VersionEntry& version) const;

  // Decrypts every value once; what cannot be.
  absl::StatusOr<std::vector<DamagedRecord>> FindDamage() const;

 private:
  StoreSnapshot(std::string path, UniqueFd fd, StoreHeader header, Digest digest,
                FileIdentity identity, SecretBytes master_key, RecordCipher cipher)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        header_(header),
        digest_(digest),
        identity_(identity),
        master_key_(std::move(master_key)),
        cipher_(std::move(cipher)) {}

  absl::Status LoadIndex();

  std::string path_;
  UniqueFd fd_;
  StoreHeader header_;
  Digest digest_;
  FileIdentity identity_;
  SecretBytes master_key_;
  mutable RecordCipher cipher_;
  StoreIndex index_;
};

// "3-9f3ac01b22aa7c10": the version's number and mark. Differs for any two values that a name ever
// had, also after a delete or when a backup of the file was put back.
std::string VersionText(const VersionEntry& version);

// The version that `selector` means: "" the newest, "3" that number, or a whole VersionText. Null
// when there is none.
const VersionEntry* SelectVersion(const SecretEntry& entry, std::string_view selector);

}  // namespace secretfs::providers::local
