#include "providers/local/local_store.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/local/key_file.h"
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
  header.format = index.format();
  header.record_count = index.record_count();
  header.index_bytes = SealedSize(index_bytes.size());
  header.record_bytes = 0;
  index.ForEachRecord([&header](const std::string&, const VersionEntry& version) {
    header.record_bytes += SealedSize(version.size);
  });
  if (kHeaderBytes + header.index_bytes + header.record_bytes > kMaximumFileBytes) {
    return absl::ResourceExhaustedError(
        Format("the store would be larger than {} MiB; 'secretfs store purge' makes room if much "
               "was removed",
               kMaximumFileBytes >> 20));
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes file_key, FileKeyFor(header, master_key));
  SECRETFS_ASSIGN_OR_RETURN(RecordCipher cipher, RecordCipher::Make(file_key));
  StoreWriter writer(fd, std::move(cipher));
  SECRETFS_RETURN_IF_ERROR(writer.Header(header));
  SECRETFS_RETURN_IF_ERROR(writer.Record({RecordKind::kIndex, 0}, index_bytes.bytes()));
  uint64_t number = 0;
  absl::Status written;
  index.ForEachRecord([&](const std::string& name, const VersionEntry& version) {
    if (!written.ok()) return;
    const absl::StatusOr<SecretBytes> value = value_of(name, version);
    written =
        value.ok() ? writer.Record({RecordKind::kValue, number++}, value->bytes()) : value.status();
  });
  SECRETFS_RETURN_IF_ERROR(written);
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

absl::Status NothingRemoved(std::string_view name) {
  return absl::NotFoundError(Format("nothing that was removed of {} is there any more", name));
}

}  // namespace

StoreTransaction::StoreTransaction(SnapshotPtr base, const Clock& clock)
    : base_(std::move(base)),
      clock_(clock),
      removal_time_(clock.WallNow()),
      index_(base_->index()),
      next_record_(base_->header().record_count) {
  // No change of its own: it is left out by whatever is written next.
  const WallTime oldest = removal_time_ - kRemovedKept;
  DropRemovedIf([oldest](const RemovedVersion& one) { return one.removed() < oldest; });
}

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
  if (it == index_.secrets.end()) {
    it = index_.secrets.emplace(std::string(name), SecretEntry()).first;
    const auto removed = index_.removed.find(name);
    if (removed != index_.removed.end()) it->second.next_number = removed->second.next_number;
  }
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

void StoreTransaction::KeepRemoved(const std::string& name, uint64_t next_number,
                                   const VersionEntry& version) {
  // What cannot be read any more could not be brought back, and would stop every write.
  if (absl::IsDataLoss(Value(name, version).status())) return;
  RemovedEntry& entry = index_.removed[name];
  entry.next_number = std::max(entry.next_number, next_number);
  const auto place = std::find_if(
      entry.versions.begin(), entry.versions.end(),
      [&version](const RemovedVersion& one) { return one.version.number > version.number; });
  entry.versions.insert(place, {version, removal_time_.time_since_epoch().count()});
  if (entry.versions.size() <= kMaximumVersionsLimit) return;
  entry.versions.erase(std::min_element(entry.versions.begin(), entry.versions.end(),
                                        [](const RemovedVersion& a, const RemovedVersion& b) {
                                          return a.removed_nanoseconds < b.removed_nanoseconds;
                                        }));
}

absl::Status StoreTransaction::Remove(std::string_view name) {
  const auto it = index_.secrets.find(name);
  if (it == index_.secrets.end()) return NoSuchSecret(name);
  for (const VersionEntry& version : it->second.versions) {
    KeepRemoved(it->first, it->second.next_number, version);
  }
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
  KeepRemoved(it->first, it->second.next_number, *version);
  versions.erase(version);
  changed_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> StoreTransaction::Restore(std::string_view name) {
  int64_t newest = std::numeric_limits<int64_t>::min();
  if (const auto it = index_.removed.find(name); it != index_.removed.end()) {
    for (const RemovedVersion& one : it->second.versions) {
      newest = std::max(newest, one.removed_nanoseconds);
    }
  }
  return RestoreIf(
      name, [newest](const RemovedVersion& one) { return one.removed_nanoseconds == newest; });
}

absl::StatusOr<std::vector<uint64_t>> StoreTransaction::RestoreVersion(std::string_view name,
                                                                       uint64_t number) {
  return RestoreIf(name,
                   [number](const RemovedVersion& one) { return one.version.number == number; });
}

absl::StatusOr<std::vector<uint64_t>> StoreTransaction::RestoreIf(
    std::string_view name, const std::function<bool(const RemovedVersion&)>& wanted) {
  const auto it = index_.removed.find(name);
  std::vector<VersionEntry> back;
  if (it != index_.removed.end()) {
    for (const RemovedVersion& one : it->second.versions) {
      if (wanted(one)) back.push_back(one.version);
    }
  }
  if (back.empty()) return NothingRemoved(name);
  const auto living = index_.secrets.find(name);
  const size_t before = living == index_.secrets.end() ? 0 : living->second.versions.size();
  if (before + back.size() > kMaximumVersionsLimit) {
    return absl::FailedPreconditionError(
        Format("{} would have more than {} versions: remove some first, or restore one version",
               name, kMaximumVersionsLimit));
  }
  SecretEntry& entry = index_.secrets[it->first];
  entry.next_number = std::max(entry.next_number, it->second.next_number);
  entry.versions.insert(entry.versions.end(), back.begin(), back.end());
  std::sort(entry.versions.begin(), entry.versions.end(),
            [](const VersionEntry& a, const VersionEntry& b) { return a.number < b.number; });
  std::erase_if(it->second.versions, wanted);
  if (it->second.versions.empty()) index_.removed.erase(it);
  changed_ = true;
  std::vector<uint64_t> numbers;
  for (const VersionEntry& version : back) numbers.push_back(version.number);
  return numbers;
}

absl::StatusOr<size_t> StoreTransaction::Purge(std::string_view name) {
  const auto it = index_.removed.find(name);
  if (it == index_.removed.end()) return NothingRemoved(name);
  const size_t count = it->second.versions.size();
  for (const RemovedVersion& one : it->second.versions) added_.erase(one.version.record);
  index_.removed.erase(it);
  changed_ = true;
  return count;
}

size_t StoreTransaction::PurgeRemovedBefore(WallTime time) {
  const size_t count =
      DropRemovedIf([time](const RemovedVersion& one) { return one.removed() < time; });
  changed_ = changed_ || count != 0;
  return count;
}

size_t StoreTransaction::DropRemovedIf(const std::function<bool(const RemovedVersion&)>& unwanted) {
  size_t count = 0;
  for (auto it = index_.removed.begin(); it != index_.removed.end();) {
    count += std::erase_if(it->second.versions, unwanted);
    it = it->second.versions.empty() ? index_.removed.erase(it) : std::next(it);
  }
  return count;
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

absl::StatusOr<LocalStore::Locked> LocalStore::Lock() {
  // Before the lock, so that nobody waits for a lock file beside a store that does not exist.
  SECRETFS_RETURN_IF_ERROR(StoreSnapshot::ReadHeader(path_).status());
  SECRETFS_ASSIGN_OR_RETURN(WriterLock lock, WriterLock::Acquire(path_, options_.lock_patience));
  SECRETFS_ASSIGN_OR_RETURN(SnapshotPtr base, Read());
  return Locked{std::move(lock), std::move(base)};
}

absl::Status LocalStore::Update(const std::function<absl::Status(StoreTransaction&)>& change) {
  SECRETFS_ASSIGN_OR_RETURN(const Locked locked, Lock());
  StoreTransaction transaction(locked.base, clock_);
  SECRETFS_RETURN_IF_ERROR(change(transaction));
  if (!transaction.changed()) return absl::OkStatus();
  return Commit(transaction,
                MasterKey{locked.base->header().key, locked.base->master_key().Clone()});
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
  SECRETFS_ASSIGN_OR_RETURN(const Locked locked, Lock());
  if (new_key.key.ConstantTimeEquals(locked.base->master_key())) {
    return absl::AlreadyExistsError("that is the key that the store has");
  }
  return Commit(StoreTransaction(locked.base, clock_), new_key);
}

absl::Status LocalStore::ReplaceKey(const std::string& key_file) {
  SECRETFS_ASSIGN_OR_RETURN(const Locked locked, Lock());
  SECRETFS_ASSIGN_OR_RETURN(KeyFileEdit file, KeyFileEdit::Begin(key_file, options_.lock_patience));
  MasterKey fresh;
  SECRETFS_ASSIGN_OR_RETURN(fresh.key, NewRandomKey());
  SECRETFS_RETURN_IF_ERROR(file.InsertBefore(locked.base->master_key(), fresh.key));
  StoreTransaction transaction(locked.base, clock_);
  SECRETFS_ASSIGN_OR_RETURN(const KeyMark mark,
                            KeyMarkOf(locked.base->header(), locked.base->master_key()));
  std::vector<KeyMark>& replaced = transaction.index_.replaced_keys;
  if (replaced.size() == kMaximumReplacedKeys) replaced.erase(replaced.begin());
  replaced.push_back(mark);
  // If this fails the store may be the old one or, if only the last sync failed, the new one: the
  // file holds a key for either.
  return Commit(transaction, fresh);
}

absl::StatusOr<size_t> LocalStore::DropReplacedKeys(const std::string& key_file,
                                                    const std::vector<std::string>& others) {
  SECRETFS_ASSIGN_OR_RETURN(const Locked locked, Lock());
  SECRETFS_ASSIGN_OR_RETURN(KeyFileEdit file, KeyFileEdit::Begin(key_file, options_.lock_patience));
  const StoreHeader& header = locked.base->header();
  StoreTransaction transaction(locked.base, clock_);
  std::vector<KeyMark>& replaced = transaction.index_.replaced_keys;
  std::vector<SecretBytes> dropped;
  std::vector<SecretBytes> staying;
  for (const SecretBytes& key : file.keys()) {
    SECRETFS_ASSIGN_OR_RETURN(const KeyMark mark, KeyMarkOf(header, key));
    const bool drop = std::find(replaced.begin(), replaced.end(), mark) != replaced.end() &&
                      !key.ConstantTimeEquals(locked.base->master_key());
    (drop ? dropped : staying).push_back(key.Clone());
  }
  for (const std::string& other : others) {
    if (!OpensStoreFile(dropped, other) || OpensStoreFile(staying, other)) continue;
    return absl::FailedPreconditionError(
        Format("{} is opened by a key that would go, and by no other: nothing was dropped. Give it "
               "another key (secretfs store rekey --store {} --key-file {} --new-key-file {}), or "
               "remove it",
               other, other, key_file, other + ".key"));
  }
  if (!dropped.empty()) SECRETFS_RETURN_IF_ERROR(file.Write(staying));
  if (replaced.empty()) return dropped.size();
  replaced.clear();
  SECRETFS_RETURN_IF_ERROR(
      Commit(transaction, MasterKey{header.key, locked.base->master_key().Clone()}));
  return dropped.size();
}

}  // namespace secretfs::providers::local
