#pragma once

// The cryptography of the local store, as two small things on OpenSSL's EVP: keys are derived
// (DeriveFileKey, scrypt in store_key.cc) and records are sealed with AES-256-GCM (RecordCipher).
// Nothing here knows what a record holds.
//
// Why nonces may be simple numbers: each write of the file draws 32 fresh random bytes, and the key
// of that one file is derived from them, so no two files share a key and within a file every record
// has a number of its own.
//
// Thread-safety: a RecordCipher is used by one thread at a time; it keeps OpenSSL's context between
// calls, because setting up the key costs more than sealing a small record.

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers::local {

inline constexpr size_t kKeyBytes = 32;
inline constexpr size_t kTagBytes = 16;
inline constexpr size_t kDigestBytes = 32;

// What is sealed: the first part of the nonce, so that no record can stand in for another kind.
enum class RecordKind : uint32_t { kHeader = 0, kIndex = 1, kValue = 2 };

struct RecordId {
  RecordKind kind = RecordKind::kHeader;
  uint64_t number = 0;
};

// HKDF-SHA256 of `master_key`.
absl::StatusOr<SecretBytes> DeriveFileKey(const SecretBytes& master_key,
                                          std::span<const std::byte> salt,
                                          std::span<const std::byte> info);

absl::StatusOr<std::array<std::byte, kDigestBytes>> Sha256(std::span<const std::byte> bytes);

// Fills `bytes` with random bytes fit for keys and salts.
absl::Status FillRandom(std::span<std::byte> bytes);

class RecordCipher {
 public:
  // REQUIRES: `file_key` has kKeyBytes bytes.
  static absl::StatusOr<RecordCipher> Make(const SecretBytes& file_key);

  // Writes the ciphertext of `plaintext` followed by `padding` zero bytes, then the tag, to
  // `sealed`. REQUIRES: sealed.size() == plaintext.size() + padding + kTagBytes; each id once for
  // one key.
  absl::Status Seal(RecordId id, std::span<const std::byte> bound,
                    std::span<const std::byte> plaintext, size_t padding,
                    std::span<std::byte> sealed);

  // False unless every bit of `sealed` and `bound` is what Seal had for the same id; `plaintext` is
  // all zero then. REQUIRES: plaintext.size() + kTagBytes == sealed.size().
  bool Open(RecordId id, std::span<const std::byte> bound, std::span<const std::byte> sealed,
            std::span<std::byte> plaintext);

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
  RecordCipher(Context sealing, Context opening)
      : sealing_(std::move(sealing)), opening_(std::move(opening)) {}

  Context sealing_;
  Context opening_;
};

}  // namespace secretfs::providers::local
