#pragma once

// The bytes of a store file, both ways: header, index and the places of the values.
// docs/local-store.md has the same layout as a table. Pure functions on memory: no file, no clock,
// no randomness; parsers take any input, never throw, and never quote what they read.
//
// A file is:  header (180 bytes, plain) | index (one sealed record) | values (sealed records 0, 1,
// …) The header names how the master key is made and carries a tag under the file's key and a
// digest over all of it; the digest tells a damaged header from a wrong key. The index names every
// secret and version in the order of the value records, so that the place of each value follows
// from it. Sealed records are bound to the header's digest, their number and their length: none can
// be dropped, moved, shortened or taken from another file.
//
// Format 2 adds to the index what was removed and can still be brought back, and which keys were
// replaced. A file without those is written in format 1, so that programs that know only that one
// read whatever they could have written themselves.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/local/store_cipher.h"

namespace secretfs::providers::local {

inline constexpr uint16_t kOldestFormat = 1;
inline constexpr uint16_t kNewestFormat = 2;
inline constexpr size_t kHeaderBytes = 180;
// Plaintexts are filled up to a multiple of this, so that the file does not tell exact lengths.
inline constexpr size_t kPaddingBytes = 64;
inline constexpr size_t kMaximumNameBytes = 1024;
inline constexpr size_t kMaximumValueBytes = 16 << 20;
inline constexpr uint32_t kMaximumVersionsLimit = 1000;
inline constexpr uint64_t kMaximumFileBytes = uint64_t{1} << 32;
inline constexpr size_t kMaximumReplacedKeys = 16;

using Digest = std::array<std::byte, kDigestBytes>;

enum class KeyKind : uint8_t { kKey = 1, kPassphrase = 2 };

// How the master key comes about; all zero besides `kind` for KeyKind::kKey.
struct KeyParameters {
  KeyKind kind = KeyKind::kKey;
  uint8_t scrypt_log2_n = 0;
  uint32_t scrypt_r = 0;
  uint32_t scrypt_p = 0;
  std::array<std::byte, 32> scrypt_salt{};
  friend bool operator==(const KeyParameters&, const KeyParameters&) = default;
};

// OutOfRange unless the cost is one that this program offers: no header may make a reader spend
// gigabytes.
absl::Status CheckKeyParameters(const KeyParameters& parameters);

struct StoreHeader {
  uint16_t format = kOldestFormat;
  KeyParameters key;
  std::array<std::byte, 16> store_id{};   // random, for life
  uint64_t generation = 0;                // counts the writes of the file
  std::array<std::byte, 32> file_salt{};  // random, fresh for each write
  uint32_t record_count = 0;
  uint64_t index_bytes = 0;   // sealed
  uint64_t record_bytes = 0;  // all value records, sealed
};

// One version of a secret. `record` and `offset` (from the first value record) are not stored: they
// follow from the order.
struct VersionEntry {
  uint64_t number = 0;  // 1, 2, … for life; never used twice while the secret exists
  uint64_t mark = 0;    // random: tells equal numbers of different lives or backups apart
  int64_t created_nanoseconds = 0;
  uint32_t size = 0;
  uint32_t record = 0;
  uint64_t offset = 0;

  WallTime created() const { return WallTime(Duration(created_nanoseconds)); }
};

struct SecretEntry {
  uint64_t next_number = 1;
  std::vector<VersionEntry> versions;  // oldest first, never empty
};

// A version that was removed and is kept for a while. No reader of secrets sees it.
struct RemovedVersion {
  VersionEntry version;
  int64_t removed_nanoseconds = 0;

  WallTime removed() const { return WallTime(Duration(removed_nanoseconds)); }
};

struct RemovedEntry {
  uint64_t next_number = 1;              // what the name goes on with when it is made again
  std::vector<RemovedVersion> versions;  // oldest first, never empty
};

// Tells a master key that the store had before: nothing about the key follows from it.
using KeyMark = std::array<std::byte, 16>;

struct StoreIndex {
  uint32_t maximum_versions = 10;
  std::map<std::string, SecretEntry, std::less<>> secrets;
  // A name may stand here and in `secrets`, where the next number is then the higher one; no number
  // of a name stands in both.
  std::map<std::string, RemovedEntry, std::less<>> removed;
  std::vector<KeyMark> replaced_keys;  // oldest first; their lines may still be in key files

  uint32_t record_count() const;
  // The oldest format that can hold it.
  uint16_t format() const;
  // Calls `visit` with name and version in the order of the value records.
  void ForEachRecord(
      const std::function<void(const std::string&, const VersionEntry&)>& visit) const;
};

bool HasVersion(const SecretEntry& entry, uint64_t number);

// How many bytes a plaintext of `size` takes in the file.
constexpr uint64_t PaddingFor(uint64_t size) {
  return (kPaddingBytes - size % kPaddingBytes) % kPaddingBytes;
}
constexpr uint64_t SealedSize(uint64_t size) { return size + PaddingFor(size) + kTagBytes; }

// InvalidArgument, saying what to change, unless `name` can be a secret's: '/'-separated components
// that are not empty, ".", ".." or longer than 255 bytes, without NUL.
absl::Status CheckSecretName(std::string_view name);

// The key of one file.
absl::StatusOr<SecretBytes> FileKeyFor(const StoreHeader& header, const SecretBytes& master_key);

// What tells `master_key` again among those that a store had.
absl::StatusOr<KeyMark> KeyMarkOf(const StoreHeader& header, const SecretBytes& master_key);

// The header's bytes. `cipher` has the file's key.
absl::StatusOr<std::array<std::byte, kHeaderBytes>> EncodeHeader(const StoreHeader& header,
                                                                 RecordCipher& cipher);
// DataLoss for damaged bytes, Unimplemented for a newer format. Says nothing about authenticity.
absl::StatusOr<StoreHeader> DecodeHeader(std::span<const std::byte> bytes);
// Whether the header was made with the key of `cipher`. REQUIRES: DecodeHeader accepted it.
bool HeaderIsAuthentic(std::span<const std::byte> bytes, RecordCipher& cipher);
// The digest that sealed records are bound to. REQUIRES: kHeaderBytes bytes.
Digest HeaderDigest(std::span<const std::byte> bytes);

SecretBytes EncodeIndex(const StoreIndex& index);
// Fills in `record` and `offset` too. DataLoss unless `bytes` is what EncodeIndex makes for an
// index of `format`, followed by less than kPaddingBytes zeros.
absl::StatusOr<StoreIndex> DecodeIndex(std::span<const std::byte> bytes, uint16_t format);

// What the record `id` of `sealed_size` bytes is bound to.
std::array<std::byte, kDigestBytes + 16> BoundTo(const Digest& header_digest, RecordId id,
                                                 uint64_t sealed_size);

}  // namespace secretfs::providers::local
