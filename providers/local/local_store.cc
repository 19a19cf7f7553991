#include "providers/local/local_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/local/store_file.h"

namespace secretfs::providers::local {
namespace {

constexpr mode_t kStoreMode = 0600;
constexpr size_t kWriteBuffer = 1 << 20;

// Writes the bytes of one store file, sealing each record as it comes.
class StoreWriter {
 public:
  StoreWriter(int fd, RecordCipher cipher) : fd_(fd), cipher_(std::move(cipher)) {}

  absl::Status Header(const StoreHeader& header) {
    SECRETFS_ASSIGN_OR_RETURN(const auto bytes, EncodeHeader(header, cipher_));
    digest_ = HeaderDigest(bytes);
    buffer_.assign(bytes.begin(), bytes.end());
    return absl::OkStatus();
  }

  absl::Status Record(RecordId id, std::span<const std::byte> plaintext) {
    const size_t sealed_size = SealedSize(plaintext.size());
    if (buffer_.size() + sealed_size > kWriteBuffer) SECRETFS_RETURN_IF_ERROR(Flush());
    const size_t start = buffer_.size();
    buffer_.resize(start + sealed_size);
    return cipher_.Seal(id, BoundTo(digest_, id, sealed_size), plaintext,
                        PaddingFor(plaintext.size()), std::span(buffer_).subspan(start));
  }

  absl::Status Flush() {
    SECRETFS_RETURN_IF_ERROR(WriteFully(fd_, buffer_));
    buffer_.clear();
    return absl::OkStatus();
  }

 private:
  int fd_;
  RecordCipher cipher_;
  Digest digest_{};
  std::vector<std::byte> buffer_;
};

using ValueReader =
    std::function<absl::StatusOr<SecretBytes>(std::string_view, const VersionEntry&)>;

// `header` comes with key, store_id and generation; the rest is filled in here.
absl::Status WriteStore(int fd, StoreHeader header, const StoreIndex& index,
                        const SecretBytes& master_key, const ValueReader& value_of) {
  const SecretBytes index_bytes = EncodeIndex(index);
  SECRETFS_RETURN_IF_ERROR(FillRandom(header.file_salt));
  header.record_count = index.record_count();
  header.index_bytes = SealedSize(index_bytes.size());
  header.record_bytes = 0;
  for (const auto& [name, entry] : index.secrets) {
    for (const VersionEntry& version : entry.versions) {
      header.record_bytes += SealedSize(version.size);
    }
  }
  if (kHeaderBytes + header.index_bytes + header.record_bytes > kMaximumFileBytes) {
    return absl::ResourceExhaustedError(
        Format("the store would be larger than {} MiB", kMaximumFileBytes >> 20));
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes file_key, FileKeyFor(header, master_key));
  SECRETFS_ASSIGN_OR_RETURN(RecordCipher cipher, RecordCipher::Make(file_key));
  StoreWriter writer(fd, std::move(cipher));
  SECRETFS_RETURN_IF_ERROR(writer.Header(header));
  SECRETFS_RETURN_IF_ERROR(writer.Record({RecordKind::kIndex, 0}, index_bytes.bytes()));
  uint64_t number = 0;
  for (const auto& [name, entry] : index.secrets) {
    for (const VersionEntry& version : entry.versions) {
      SECRETFS_ASSIGN_OR_RETURN(const SecretBytes value, value_of(name, version));
      SECRETFS_RETURN_IF_ERROR(writer.Record({RecordKind::kValue, number++}, value.bytes()));
    }
  }
  return writer.Flush();
}

absl::Status CheckVersionCount(uint32_t count) {
  if (count >= 1 && count <= kMaximumVersionsLimit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Format("the number of versions to keep must be 1 to {}", kMaximumVersionsLimit));
}

absl::Status NoSuchSecret(std::string_view name) {
  return absl::NotFoundError(Format("there is no secret {}", name));
}

}  // namespace

StoreTransaction::StoreTransaction(SnapshotPtr base, const Clock& clock)
    : base_(std::move(base)),
      clock_(clock),
      index_(base_->index()),
      next_record_(base_->header().record_count) {}

absl::StatusOr<SecretBytes> StoreTransaction::Value(std::string_view name,
                                                    const VersionEntry& version) const {
  const auto it = added_.find(version.record);
  if (it != added_.end()) return it->second.Clone();
  return base_->ReadValue(name, version);
}

absl::Status StoreTransaction::Put(std::string_view name, SecretBytes value) {
  SECRETFS_RETURN_IF_ERROR(CheckSecretName(name));
  if (value.size() > kMaximumValueBytes) {
    return absl::ResourceExhaustedError(Format("the value of {} has {} bytes, more than {}", name,
                                               value.size(), kMaximumValueBytes));
  }
  VersionEntry version;
  SECRETFS_RETURN_IF_ERROR(
      FillRandom(std::as_writable_bytes(std::span<uint64_t, 1>(&version.mark, 1))));
  auto it = index_.secrets.find(name);
  if (it == index_.secrets.end())
    it = index_.secrets.emplace(std::string(name), SecretEntry()).first;
  SecretEntry& entry = it->second;
  version.number = entry.next_number++;
  version.created_nanoseconds = clock_.WallNow().time_since_epoch().count();
  version.size = static_cast<uint32_t>(value.size());
  version.record = next_record_++;
  added_.emplace(version.record, std::move(value));
  entry.versions.push_back(version);
  Prune(entry);
  changed_ = true;
  return absl::OkStatus();
}

void StoreTransaction::Prune(SecretEntry& entry) {
  while (entry.versions.size() > index_.maximum_versions) {
    added_.erase(entry.versions.front().record);
    entry.versions.erase(entry.versions.begin());
    changed_ = true;
  }
}

absl::Status StoreTransaction::Remove(std::string_view name) {
  const auto it = index_.secrets.find(name);
  if (it == index_.secrets.end()) return NoSuchSecret(name);
  for (const VersionEntry& version : it->second.versions) added_.erase(version.record);
  index_.secrets.erase(it);
  changed_ = true;
  return absl::OkStatus();
}

absl::Status StoreTransaction::RemoveVersion(std::string_view name, uint64_t number) {
  const auto it = index_.secrets.find(name);
  if (it == index_.secrets.end()) return NoSuchSecret(name);
  std::vector<VersionEntry>& versions = it->second.versions;
  const auto version = std::find_if(versions.begin(), versions.end(),
                                    [number](const auto& entry) { return entry.number == number; });
  if (version == versions.end()) {
    return absl::NotFoundError(Format("secret {} has no version {}", name, number));
  }
  if (versions.size() == 1) return Remove(name);
  added_.erase(version->record);
  versions.erase(version);
  changed_ = true;
  return absl::OkStatus();
}

absl::Status StoreTransaction::SetMaximumVersions(uint32_t count) {
  SECRETFS_RETURN_IF_ERROR(CheckVersionCount(count));
  changed_ = changed_ || count != index_.maximum_versions;
  index_.maximum_versions = count;
  for (auto& [name, entry] : index_.secrets) Prune(entry);
  return absl::OkStatus();
}

LocalStore::LocalStore(std::string path, KeySource key, const Clock& clock,
                       LocalStoreOptions options)
    : path_(ResolveLinks(path)), key_(std::move(key)), clock_(clock), options_(options) {}

absl::Status LocalStore::Create(const std::string& path, const MasterKey& key,
                                uint32_t maximum_versions) {
  SECRETFS_RETURN_IF_ERROR(CheckVersionCount(maximum_versions));
  StoreHeader header;
  header.key = key.parameters;
  header.generation = 1;
  SECRETFS_RETURN_IF_ERROR(FillRandom(header.store_id));
  StoreIndex index;
  index.maximum_versions = maximum_versions;
  const absl::Status written =
      ReplaceFile(ResolveLinks(path), kStoreMode, Replace::kNever,
                  [&](int fd) { return WriteStore(fd, header, index, key.key, nullptr); });
  if (absl::IsAlreadyExists(written)) {
    return absl::AlreadyExistsError(Format("there is a store at {} already", path));
  }
  return written;
}

absl::StatusOr<SnapshotPtr> LocalStore::Read() { return StoreSnapshot::Open(path_, key_); }

absl::Status LocalStore::Update(const std::function<absl::Status(StoreTransaction&)>& change) {
  // Before the lock, so that nobody waits for a lock file beside a store that does not exist.
  SECRETFS_RETURN_IF_ERROR(StoreSnapshot::ReadHeader(path_).status());
  SECRETFS_ASSIGN_OR_RETURN(const WriterLock lock,
                            WriterLock::Acquire(path_, options_.lock_patience));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr base, Read());
  StoreTransaction transaction(base, clock_);
  SECRETFS_RETURN_IF_ERROR(change(transaction));
  if (!transaction.changed()) return absl::OkStatus();
  return Commit(transaction, MasterKey{base->header().key, base->master_key().Clone()});
}

absl::Status LocalStore::Commit(const StoreTransaction& transaction, const MasterKey& key) {
  RemoveLeftovers(path_);
  StoreHeader header;
  header.key = key.parameters;
  header.store_id = transaction.base_->header().store_id;
  header.generation = transaction.base_->header().generation + 1;
  return ReplaceFile(path_, kStoreMode, Replace::kExisting, [&](int fd) {
    return WriteStore(fd, header, transaction.index_, key.key,
                      [&](std::string_view name, const VersionEntry& version) {
                        return transaction.Value(name, version);
                      });
  });
}

absl::Status LocalStore::Rekey(const MasterKey& new_key) {
  SECRETFS_RETURN_IF_ERROR(StoreSnapshot::ReadHeader(path_).status());
  SECRETFS_ASSIGN_OR_RETURN(const WriterLock lock,
                            WriterLock::Acquire(path_, options_.lock_patience));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr base, Read());
  return Commit(StoreTransaction(base, clock_), new_key);
}

absl::Status LocalStore::ReplaceKey(const std::string& key_file) {
  const std::string key_path = ResolveLinks(key_file);
  SECRETFS_RETURN_IF_ERROR(StoreSnapshot::ReadHeader(path_).status());
  SECRETFS_ASSIGN_OR_RETURN(const WriterLock lock,
                            WriterLock::Acquire(path_, options_.lock_patience));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr base, Read());
  if (base->header().key.kind != KeyKind::kKey) {
    return absl::FailedPreconditionError(
        "the store is closed with a passphrase, not with a key file");
  }
  MasterKey fresh;
  SECRETFS_ASSIGN_OR_RETURN(fresh.key, NewRandomKey());
  const auto write_keys = [&](const std::vector<const SecretBytes*>& keys) {
    const SecretBytes content = FormatKeys(keys);
    return ReplaceFile(key_path, 0600, Replace::kExisting,
                       [&content](int fd) { return WriteFully(fd, content.bytes()); });
  };
  RemoveLeftovers(key_path);
  SECRETFS_RETURN_IF_ERROR(write_keys({&fresh.key, &base->master_key()}));
  if (const absl::Status committed = Commit(StoreTransaction(base, clock_), fresh);
      !committed.ok()) {
    // The store may be the old one or, if only the last sync failed, the new one: both keys stay.
    return committed;
  }
  return write_keys({&fresh.key});
}

}  // namespace secretfs::providers::local
