#include "providers/local/store_format.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::local {
namespace {

constexpr std::string_view kMagic = "SECRETFS";
constexpr size_t kTaggedBytes = 132;  // of the header: what its tag covers
constexpr size_t kDigestedBytes = kTaggedBytes + kTagBytes;
static_assert(kDigestedBytes + kDigestBytes == kHeaderBytes);

// Numbers are little-endian on disk.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  template <typename Number>
  void Put(Number number) {
    for (size_t i = 0; i < sizeof(Number); ++i) {
      out_[used_++] = static_cast<std::byte>(static_cast<uint64_t>(number) >> (8 * i));
    }
  }
  void Put(std::span<const std::byte> bytes) {
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<ptrdiff_t>(used_));
    used_ += bytes.size();
  }
  void Put(std::string_view text) { Put(std::as_bytes(std::span(text.data(), text.size()))); }
  size_t used() const { return used_; }

 private:
  std::span<std::byte> out_;
  size_t used_ = 0;
};

// Reading past the end makes the reader bad and yields zeros; callers look at good() once.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  template <typename Number>
  Number Get() {
    uint64_t number = 0;
    const std::span<const std::byte> bytes = Take(sizeof(Number));
    for (size_t i = 0; i < bytes.size(); ++i) {
      number |= static_cast<uint64_t>(bytes[i]) << (8 * i);
    }
    return static_cast<Number>(number);
  }
  std::span<const std::byte> Take(size_t count) {
    if (count > in_.size()) {
      good_ = false;
      in_ = {};
      return {};
    }
    const std::span<const std::byte> bytes = in_.first(count);
    in_ = in_.subspan(count);
    return bytes;
  }
  template <size_t N>
  void Fill(std::array<std::byte, N>& target) {
    const std::span<const std::byte> bytes = Take(N);
    std::copy(bytes.begin(), bytes.end(), target.begin());
  }
  bool good() const { return good_; }
  std::span<const std::byte> rest() const { return in_; }

 private:
  std::span<const std::byte> in_;
  bool good_ = true;
};

constexpr size_t kVersionEntryBytes = 8 + 8 + 8 + 4;
constexpr size_t kRemovedVersionBytes = kVersionEntryBytes + 8;

absl::Status IndexError(std::string_view what) {
  return absl::DataLossError(Format("the index is damaged: {}", what));
}

// What a secret and a removed one have in common at their start.
struct EntryStart {
  std::string name;
  uint64_t next_number = 0;
  size_t versions = 0;
};

// `previous`: the name before it, empty for the first. `version_bytes`: of each that follows.
absl::StatusOr<EntryStart> DecodeEntryStart(Reader& reader, std::string_view previous,
                                            size_t version_bytes) {
  EntryStart start;
  const std::span<const std::byte> name = reader.Take(reader.Get<uint16_t>());
  start.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  start.next_number = reader.Get<uint64_t>();
  start.versions = reader.Get<uint16_t>();
  if (!reader.good() || reader.rest().size() < start.versions * version_bytes) {
    return IndexError("it ends early");
  }
  if (!CheckSecretName(start.name).ok()) return IndexError("it holds a name that cannot be");
  if (start.name <= previous) return IndexError("its names are out of order");
  if (start.versions == 0 || start.versions > kMaximumVersionsLimit) {
    return IndexError("a number of versions");
  }
  return start;
}

// `least`: the lowest number that it may have. `place` has its record and moves on to the next.
absl::StatusOr<VersionEntry> DecodeVersion(Reader& reader, uint64_t least, uint64_t next_number,
                                           VersionEntry& place) {
  VersionEntry version = place;
  version.number = reader.Get<uint64_t>();
  version.mark = reader.Get<uint64_t>();
  version.created_nanoseconds = reader.Get<int64_t>();
  version.size = reader.Get<uint32_t>();
  if (version.number < least || version.number >= next_number) {
    return IndexError("its versions are out of order");
  }
  if (version.size > kMaximumValueBytes) return IndexError("a value's size");
  ++place.record;
  place.offset += SealedSize(version.size);
  return version;
}

template <typename Map>
std::string_view LastName(const Map& entries) {
  return entries.empty() ? std::string_view() : std::string_view(entries.rbegin()->first);
}

absl::Status DecodeSecret(Reader& reader, StoreIndex& index, VersionEntry& place) {
  SECRETFS_ASSIGN_OR_RETURN(EntryStart start,
                            DecodeEntryStart(reader, LastName(index.secrets), kVersionEntryBytes));
  SecretEntry entry;
  entry.next_number = start.next_number;
  entry.versions.reserve(start.versions);
  uint64_t least = 1;
  for (size_t i = 0; i < start.versions; ++i) {
    SECRETFS_ASSIGN_OR_RETURN(const VersionEntry version,
                              DecodeVersion(reader, least, start.next_number, place));
    least = version.number + 1;
    entry.versions.push_back(version);
  }
  index.secrets.emplace_hint(index.secrets.end(), std::move(start.name), std::move(entry));
  return absl::OkStatus();
}

absl::Status DecodeRemoved(Reader& reader, StoreIndex& index, VersionEntry& place) {
  SECRETFS_ASSIGN_OR_RETURN(
      EntryStart start, DecodeEntryStart(reader, LastName(index.removed), kRemovedVersionBytes));
  const auto living = index.secrets.find(start.name);
  if (living != index.secrets.end() && living->second.next_number < start.next_number) {
    return IndexError("its versions are out of order");
  }
  RemovedEntry entry;
  entry.next_number = start.next_number;
  entry.versions.reserve(start.versions);
  uint64_t least = 1;
  for (size_t i = 0; i < start.versions; ++i) {
    RemovedVersion removed;
    SECRETFS_ASSIGN_OR_RETURN(removed.version,
                              DecodeVersion(reader, least, start.next_number, place));
    removed.removed_nanoseconds = reader.Get<int64_t>();
    least = removed.version.number + 1;
    if (living != index.secrets.end() && HasVersion(living->second, removed.version.number)) {
      return IndexError("a version is there twice");
    }
    entry.versions.push_back(removed);
  }
  index.removed.emplace_hint(index.removed.end(), std::move(start.name), std::move(entry));
  return absl::OkStatus();
}

// What format 2 has behind the secrets.
absl::Status DecodeRemains(Reader& reader, StoreIndex& index, VersionEntry& place) {
  const auto removed = reader.Get<uint32_t>();
  for (uint32_t i = 0; i < removed; ++i) {
    SECRETFS_RETURN_IF_ERROR(DecodeRemoved(reader, index, place));
  }
  const auto keys = reader.Get<uint32_t>();
  if (!reader.good()) return IndexError("it ends early");
  if (keys > kMaximumReplacedKeys) return IndexError("a number of keys");
  index.replaced_keys.resize(keys);
  for (KeyMark& mark : index.replaced_keys) reader.Fill(mark);
  if (!reader.good()) return IndexError("it ends early");
  if (index.format() != 2) return IndexError("it is of format 1 in a file of format 2");
  return absl::OkStatus();
}

void PutEntryStart(Writer& writer, const std::string& name, uint64_t next_number, size_t versions) {
  writer.Put(static_cast<uint16_t>(name.size()));
  writer.Put(std::string_view(name));
  writer.Put(next_number);
  writer.Put(static_cast<uint16_t>(versions));
}

void PutVersion(Writer& writer, const VersionEntry& version) {
  writer.Put(version.number);
  writer.Put(version.mark);
  writer.Put(version.created_nanoseconds);
  writer.Put(version.size);
}

void PutRemains(Writer& writer, const StoreIndex& index) {
  writer.Put(static_cast<uint32_t>(index.removed.size()));
  for (const auto& [name, entry] : index.removed) {
    PutEntryStart(writer, name, entry.next_number, entry.versions.size());
    for (const RemovedVersion& removed : entry.versions) {
      PutVersion(writer, removed.version);
      writer.Put(removed.removed_nanoseconds);
    }
  }
  writer.Put(static_cast<uint32_t>(index.replaced_keys.size()));
  for (const KeyMark& mark : index.replaced_keys) writer.Put(std::span<const std::byte>(mark));
}

size_t IndexSize(const StoreIndex& index) {
  constexpr size_t kStart = 2 + 8 + 2;
  size_t size = 4 + 4;
  for (const auto& [name, entry] : index.secrets) {
    size += kStart + name.size() + entry.versions.size() * kVersionEntryBytes;
  }
  if (index.format() == 1) return size;
  size += 4 + 4 + index.replaced_keys.size() * sizeof(KeyMark);
  for (const auto& [name, entry] : index.removed) {
    size += kStart + name.size() + entry.versions.size() * kRemovedVersionBytes;
  }
  return size;
}

}  // namespace

absl::Status CheckKeyParameters(const KeyParameters& parameters) {
  if (parameters.kind == KeyKind::kKey) {
    return parameters == KeyParameters{} ? absl::OkStatus()
                                         : absl::OutOfRangeError("a key file has no scrypt cost");
  }
  const bool good = parameters.kind == KeyKind::kPassphrase && parameters.scrypt_log2_n >= 10 &&
                    parameters.scrypt_log2_n <= 20 && parameters.scrypt_r >= 1 &&
                    parameters.scrypt_r <= 16 && parameters.scrypt_p >= 1 &&
                    parameters.scrypt_p <= 16;
  if (good) return absl::OkStatus();
  return absl::OutOfRangeError(
      "the scrypt cost is outside N = 2^10 to 2^20, r = 1 to 16, p = 1 to 16");
}

uint32_t StoreIndex::record_count() const {
  size_t count = 0;
  for (const auto& [name, entry] : secrets) count += entry.versions.size();
  for (const auto& [name, entry] : removed) count += entry.versions.size();
  return static_cast<uint32_t>(count);
}

uint16_t StoreIndex::format() const { return removed.empty() && replaced_keys.empty() ? 1 : 2; }

void StoreIndex::ForEachRecord(
    const std::function<void(const std::string&, const VersionEntry&)>& visit) const {
  for (const auto& [name, entry] : secrets) {
    for (const VersionEntry& version : entry.versions) visit(name, version);
  }
  for (const auto& [name, entry] : removed) {
    for (const RemovedVersion& one : entry.versions) visit(name, one.version);
  }
}

bool HasVersion(const SecretEntry& entry, uint64_t number) {
  return std::any_of(entry.versions.begin(), entry.versions.end(),
                     [number](const VersionEntry& version) { return version.number == number; });
}

absl::Status CheckSecretName(std::string_view name) {
  const auto refuse = [](std::string_view why) {
    return absl::InvalidArgumentError(Format("the secret's name {}", why));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaximumNameBytes) {
    return refuse(Format("is longer than {} bytes", kMaximumNameBytes));
  }
  if (name.find('\0') != std::string_view::npos) return refuse("holds a NUL byte");
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view component = name.substr(start, end - start);
    if (component.empty()) {
      return refuse("has an empty part: no '/' at its start or end, and no two in a row");
    }
    if (component == "." || component == "..") return refuse("has a part \".\" or \"..\"");
    if (component.size() > 255) return refuse("has a part longer than 255 bytes");
    start = end + 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<SecretBytes> FileKeyFor(const StoreHeader& header, const SecretBytes& master_key) {
  static constexpr std::string_view kPurpose = "secretfs local store 1, key of one file";
  std::array<std::byte, kPurpose.size() + 16 + 8> info{};
  Writer writer(info);
  writer.Put(kPurpose);
  writer.Put(std::span<const std::byte>(header.store_id));
  writer.Put(header.generation);
  return DeriveFileKey(master_key, header.file_salt, info);
}

absl::StatusOr<KeyMark> KeyMarkOf(const StoreHeader& header, const SecretBytes& master_key) {
  static constexpr std::string_view kPurpose = "secretfs local store, mark of a key";
  SECRETFS_ASSIGN_OR_RETURN(
      const SecretBytes derived,
      DeriveFileKey(master_key, header.store_id,
                    std::as_bytes(std::span(kPurpose.data(), kPurpose.size()))));
  KeyMark mark;
  std::copy_n(derived.bytes().begin(), mark.size(), mark.begin());
  return mark;
}

absl::StatusOr<std::array<std::byte, kHeaderBytes>> EncodeHeader(const StoreHeader& header,
                                                                 RecordCipher& cipher) {
  std::array<std::byte, kHeaderBytes> bytes{};
  Writer writer(bytes);
  writer.Put(kMagic);
  writer.Put(header.format);
  writer.Put(static_cast<uint16_t>(kHeaderBytes));
  writer.Put(static_cast<uint8_t>(header.key.kind));
  writer.Put(header.key.scrypt_log2_n);
  writer.Put(uint16_t{0});
  writer.Put(header.key.scrypt_r);
  writer.Put(header.key.scrypt_p);
  writer.Put(std::span<const std::byte>(header.key.scrypt_salt));
  writer.Put(std::span<const std::byte>(header.store_id));
  writer.Put(header.generation);
  writer.Put(std::span<const std::byte>(header.file_salt));
  writer.Put(header.record_count);
  writer.Put(header.index_bytes);
  writer.Put(header.record_bytes);
  const std::span<std::byte> all(bytes);
  SECRETFS_RETURN_IF_ERROR(cipher.Seal({RecordKind::kHeader, 0}, all.first(kTaggedBytes), {}, 0,
                                       all.subspan(kTaggedBytes, kTagBytes)));
  SECRETFS_ASSIGN_OR_RETURN(const Digest digest, Sha256(all.first(kDigestedBytes)));
  std::copy(digest.begin(), digest.end(), bytes.begin() + kDigestedBytes);
  return bytes;
}

absl::StatusOr<StoreHeader> DecodeHeader(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) {
    return absl::DataLossError(
        Format("the header is cut off: {} bytes of {}", bytes.size(), kHeaderBytes));
  }
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return absl::DataLossError(
        "the header is damaged, or this is not a secretfs store: it does not begin with SECRETFS");
  }
  SECRETFS_ASSIGN_OR_RETURN(const Digest digest, Sha256(bytes.first(kDigestedBytes)));
  if (digest != HeaderDigest(bytes)) {
    return absl::DataLossError("the header is damaged: its digest does not match");
  }
  Reader reader(bytes.subspan(kMagic.size()));
  const auto format = reader.Get<uint16_t>();
  const auto header_bytes = reader.Get<uint16_t>();
  if (format < kOldestFormat || format > kNewestFormat || header_bytes != kHeaderBytes) {
    return absl::UnimplementedError(
        Format("the store has format {}, this program reads formats {} to {}: use a newer secretfs",
               format, kOldestFormat, kNewestFormat));
  }
  StoreHeader header;
  header.format = format;
  header.key.kind = static_cast<KeyKind>(reader.Get<uint8_t>());
  header.key.scrypt_log2_n = reader.Get<uint8_t>();
  const auto reserved = reader.Get<uint16_t>();
  header.key.scrypt_r = reader.Get<uint32_t>();
  header.key.scrypt_p = reader.Get<uint32_t>();
  reader.Fill(header.key.scrypt_salt);
  reader.Fill(header.store_id);
  header.generation = reader.Get<uint64_t>();
  reader.Fill(header.file_salt);
  header.record_count = reader.Get<uint32_t>();
  header.index_bytes = reader.Get<uint64_t>();
  header.record_bytes = reader.Get<uint64_t>();
  if (const absl::Status key = CheckKeyParameters(header.key); !key.ok() || reserved != 0) {
    return absl::DataLossError(Format("the header is damaged: {}",
                                      key.ok() ? "a reserved field is not zero" : MessageOf(key)));
  }
  if (header.index_bytes < kTagBytes || header.index_bytes > kMaximumFileBytes ||
      header.record_bytes > kMaximumFileBytes) {
    return absl::DataLossError("the header is damaged: its sizes are out of range");
  }
  return header;
}

bool HeaderIsAuthentic(std::span<const std::byte> bytes, RecordCipher& cipher) {
  return cipher.Open({RecordKind::kHeader, 0}, bytes.first(kTaggedBytes),
                     bytes.subspan(kTaggedBytes, kTagBytes), {});
}

Digest HeaderDigest(std::span<const std::byte> bytes) {
  Digest digest{};
  std::copy_n(bytes.begin() + kDigestedBytes, kDigestBytes, digest.begin());
  return digest;
}

SecretBytes EncodeIndex(const StoreIndex& index) {
  SecretBytes bytes(IndexSize(index));
  Writer writer(bytes.mutable_bytes());
  writer.Put(index.maximum_versions);
  writer.Put(static_cast<uint32_t>(index.secrets.size()));
  for (const auto& [name, entry] : index.secrets) {
    PutEntryStart(writer, name, entry.next_number, entry.versions.size());
    for (const VersionEntry& version : entry.versions) PutVersion(writer, version);
  }
  if (index.format() != 1) PutRemains(writer, index);
  return bytes;
}

absl::StatusOr<StoreIndex> DecodeIndex(std::span<const std::byte> bytes, uint16_t format) {
  Reader reader(bytes);
  StoreIndex index;
  index.maximum_versions = reader.Get<uint32_t>();
  const auto count = reader.Get<uint32_t>();
  if (!reader.good()) return IndexError("it ends early");
  if (index.maximum_versions == 0 || index.maximum_versions > kMaximumVersionsLimit) {
    return IndexError("its number of versions to keep is out of range");
  }
  VersionEntry place;
  for (uint32_t i = 0; i < count; ++i) {
    SECRETFS_RETURN_IF_ERROR(DecodeSecret(reader, index, place));
  }
  if (format != 1) SECRETFS_RETURN_IF_ERROR(DecodeRemains(reader, index, place));
  const std::span<const std::byte> rest = reader.rest();
  if (rest.size() >= kPaddingBytes ||
      std::any_of(rest.begin(), rest.end(), [](std::byte byte) { return byte != std::byte{0}; })) {
    return IndexError("there is something after its end");
  }
  return index;
}

std::array<std::byte, kDigestBytes + 16> BoundTo(const Digest& header_digest, RecordId id,
                                                 uint64_t sealed_size) {
  std::array<std::byte, kDigestBytes + 16> bound{};
  Writer writer(bound);
  writer.Put(std::span<const std::byte>(header_digest));
  writer.Put(id.number);
  writer.Put(sealed_size);
  return bound;
}

}  // namespace secretfs::providers::local
