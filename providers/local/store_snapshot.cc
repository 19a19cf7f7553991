#include "providers/local/store_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "base/file_access.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::local {
namespace {

absl::StatusOr<UniqueFd> OpenStoreFile(const std::string& path) {
  UniqueFd fd = OpenFile(path, O_NONBLOCK);
  if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::FailedPreconditionError(Format(
        "there is no store at {}: make one with  secretfs store init --store {}", path, path));
  }
  if (!fd.valid()) return SystemError("open the store", path, errno);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return SystemError("look at", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(Format("{} is not a file, so not a store", path));
  }
  return fd;
}

struct RawHeader {
  std::array<std::byte, kHeaderBytes> bytes{};
  StoreHeader header;
};

absl::StatusOr<RawHeader> ReadRawHeader(int fd, const std::string& path) {
  RawHeader raw;
  SECRETFS_ASSIGN_OR_RETURN(const size_t size, ReadAt(fd, raw.bytes, 0));
  absl::StatusOr<StoreHeader> header = DecodeHeader(std::span(raw.bytes).first(size));
  if (!header.ok()) return WithContext(header.status(), path);
  raw.header = *header;
  return raw;
}

}  // namespace

absl::StatusOr<StoreHeader> StoreSnapshot::ReadHeader(const std::string& path) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueFd fd, OpenStoreFile(path));
  SECRETFS_ASSIGN_OR_RETURN(const RawHeader raw, ReadRawHeader(fd.get(), path));
  return raw.header;
}

absl::StatusOr<std::shared_ptr<const StoreSnapshot>> StoreSnapshot::Open(const std::string& path,
                                                                         KeySource& key) {
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd fd, OpenStoreFile(path));
  SECRETFS_ASSIGN_OR_RETURN(const FileIdentity identity, IdentityOf(fd.get()));
  SECRETFS_ASSIGN_OR_RETURN(const RawHeader raw, ReadRawHeader(fd.get(), path));
  std::optional<RecordCipher> cipher;
  absl::Status failure;
  absl::StatusOr<SecretBytes> master_key =
      key.Find(raw.header.key, [&](const SecretBytes& candidate) {
        absl::StatusOr<SecretBytes> file_key = FileKeyFor(raw.header, candidate);
        absl::StatusOr<RecordCipher> made =
            file_key.ok() ? RecordCipher::Make(*file_key) : file_key.status();
        if (!made.ok()) failure = made.status();
        if (!made.ok() || !HeaderIsAuthentic(raw.bytes, *made)) return false;
        cipher.emplace(*std::move(made));
        return true;
      });
  SECRETFS_RETURN_IF_ERROR(failure);
  if (!master_key.ok()) return WithContext(master_key.status(), path);

  std::shared_ptr<StoreSnapshot> snapshot(
      new StoreSnapshot(path, std::move(fd), raw.header, HeaderDigest(raw.bytes), identity,
                        *std::move(master_key), *std::move(cipher)));
  if (const absl::Status loaded = snapshot->LoadIndex(); !loaded.ok()) {
    return WithContext(loaded, path);
  }
  return std::shared_ptr<const StoreSnapshot>(std::move(snapshot));
}

absl::Status StoreSnapshot::LoadIndex() {
  const uint64_t expected = kHeaderBytes + header_.index_bytes + header_.record_bytes;
  const auto actual = static_cast<uint64_t>(identity_.size);
  if (actual < expected) {
    return absl::DataLossError(
        Format("the file is cut off: {} bytes of {} ({} is damaged)", actual, expected,
               actual < kHeaderBytes + header_.index_bytes ? "the index" : "the last records"));
  }
  if (actual > expected) {
    return absl::DataLossError(
        Format("the file has {} bytes after its last record", actual - expected));
  }
  std::vector<std::byte> sealed(header_.index_bytes);
  SECRETFS_ASSIGN_OR_RETURN(const size_t size, ReadAt(fd_.get(), sealed, kHeaderBytes));
  SecretBytes plain(sealed.size() - kTagBytes);
  const RecordId id{RecordKind::kIndex, 0};
  if (size != sealed.size() ||
      !cipher_.Open(id, BoundTo(digest_, id, sealed.size()), sealed, plain.mutable_bytes())) {
    return absl::DataLossError("the index is damaged: it does not decrypt");
  }
  SECRETFS_ASSIGN_OR_RETURN(index_, DecodeIndex(plain.bytes(), header_.format));
  uint64_t records = 0;
  index_.ForEachRecord([&records](const std::string&, const VersionEntry& version) {
    records += SealedSize(version.size);
  });
  if (records != header_.record_bytes || index_.record_count() != header_.record_count) {
    return absl::DataLossError("the index is damaged: it does not fit the header");
  }
  return absl::OkStatus();
}

const SecretEntry* StoreSnapshot::Find(std::string_view name) const {
  const auto it = index_.secrets.find(name);
  return it == index_.secrets.end() ? nullptr : &it->second;
}

absl::StatusOr<SecretBytes> StoreSnapshot::ReadValue(std::string_view name,
                                                     const VersionEntry& version) const {
  const uint64_t sealed_size = SealedSize(version.size);
  std::vector<std::byte> sealed(sealed_size);
  SECRETFS_ASSIGN_OR_RETURN(
      const size_t size,
      ReadAt(fd_.get(), sealed, kHeaderBytes + header_.index_bytes + version.offset));
  SecretBytes plain(sealed_size - kTagBytes);
  const RecordId id{RecordKind::kValue, version.record};
  if (size != sealed_size ||
      !cipher_.Open(id, BoundTo(digest_, id, sealed_size), sealed, plain.mutable_bytes())) {
    return absl::DataLossError(Format("{}: record {} of {} is damaged: {}, version {}", path_,
                                      version.record + 1, header_.record_count, name,
                                      version.number));
  }
  if (plain.size() == version.size) return plain;
  return SecretBytes::CopyOf(plain.bytes().first(version.size));
}

absl::StatusOr<std::vector<DamagedRecord>> StoreSnapshot::FindDamage() const {
  std::vector<DamagedRecord> damaged;
  absl::Status failure;
  index_.ForEachRecord([&](const std::string& name, const VersionEntry& version) {
    if (!failure.ok()) return;
    const absl::StatusOr<SecretBytes> value = ReadValue(name, version);
    if (absl::IsDataLoss(value.status())) {
      const SecretEntry* living = Find(name);
      const bool removed = living == nullptr || !HasVersion(*living, version.number);
      damaged.push_back({version.record, name, version.number, removed});
    } else if (!value.ok()) {
      failure = value.status();
    }
  });
  if (!failure.ok()) return failure;
  return damaged;
}

std::string VersionText(const VersionEntry& version) {
  return Format("{}-{:016x}", version.number, version.mark);
}

const VersionEntry* SelectVersion(const SecretEntry& entry, std::string_view selector) {
  if (selector.empty()) return &entry.versions.back();
  uint64_t number = 0;
  const char* const end = selector.data() + selector.size();
  const auto parsed = std::from_chars(selector.data(), end, number);
  if (parsed.ec != std::errc{}) return nullptr;
  for (const VersionEntry& version : entry.versions) {
    if (version.number != number) continue;
    return parsed.ptr == end || VersionText(version) == selector ? &version : nullptr;
  }
  return nullptr;
}

}  // namespace secretfs::providers::local
