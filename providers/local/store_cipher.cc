#include "providers/local/store_cipher.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <limits>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::local {
namespace {

absl::Status OpensslError(std::string_view what) {
  char reason[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, reason, sizeof(reason));
  }
  ERR_clear_error();
  return absl::InternalError(Format("OpenSSL cannot {}: {}", what, reason));
}

const unsigned char* Raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* Raw(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// EVP counts in int: longer input goes in pieces.
constexpr size_t kPiece = 1 << 30;

template <typename Update>
bool InPieces(std::span<const std::byte> input, Update update) {
  while (!input.empty()) {
    const std::span<const std::byte> piece = input.first(std::min(input.size(), kPiece));
    if (!update(piece)) return false;
    input = input.subspan(piece.size());
  }
  return true;
}

std::array<unsigned char, 12> NonceOf(RecordId id) {
  std::array<unsigned char, 12> nonce{};
  for (size_t i = 0; i < 4; ++i) {
    nonce[i] = static_cast<unsigned char>(static_cast<uint32_t>(id.kind) >> (8 * i));
  }
  for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<unsigned char>(id.number >> (8 * i));
  return nonce;
}

}  // namespace

absl::StatusOr<SecretBytes> DeriveFileKey(const SecretBytes& master_key,
                                          std::span<const std::byte> salt,
                                          std::span<const std::byte> info) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> algorithm(
      EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  if (algorithm == nullptr) return OpensslError("find HKDF");
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
      EVP_KDF_CTX_new(algorithm.get()), &EVP_KDF_CTX_free);
  char digest[] = "SHA256";
  const auto octets = [](const char* name, std::span<const std::byte> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                             bytes.size());
  };
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, master_key.bytes()),
      octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, info),
      OSSL_PARAM_construct_end(),
  };
  SecretBytes key(kKeyBytes);
  if (context == nullptr ||
      EVP_KDF_derive(context.get(), Raw(key.mutable_bytes()), kKeyBytes, parameters) != 1) {
    return OpensslError("derive the key of the file");
  }
  return key;
}

absl::StatusOr<std::array<std::byte, kDigestBytes>> Sha256(std::span<const std::byte> bytes) {
  std::array<std::byte, kDigestBytes> digest{};
  if (EVP_Digest(bytes.data(), bytes.size(), Raw(std::span<std::byte>(digest)), nullptr,
                 EVP_sha256(), nullptr) != 1) {
    return OpensslError("compute SHA-256");
  }
  return digest;
}

absl::Status FillRandom(std::span<std::byte> bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      RAND_bytes(Raw(bytes), static_cast<int>(bytes.size())) != 1) {
    return OpensslError("draw random bytes");
  }
  return absl::OkStatus();
}

absl::StatusOr<RecordCipher> RecordCipher::Make(const SecretBytes& file_key) {
  Context sealing(EVP_CIPHER_CTX_new());
  Context opening(EVP_CIPHER_CTX_new());
  const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> algorithm(
      EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr), &EVP_CIPHER_free);
  if (file_key.size() != kKeyBytes || sealing == nullptr || opening == nullptr ||
      algorithm == nullptr ||
      EVP_EncryptInit_ex2(sealing.get(), algorithm.get(), Raw(file_key.bytes()), nullptr,
                          nullptr) != 1 ||
      EVP_DecryptInit_ex2(opening.get(), algorithm.get(), Raw(file_key.bytes()), nullptr,
                          nullptr) != 1) {
    return OpensslError("set up AES-256-GCM");
  }
  return RecordCipher(std::move(sealing), std::move(opening));
}

absl::Status RecordCipher::Seal(RecordId id, std::span<const std::byte> bound,
                                std::span<const std::byte> plaintext, size_t padding,
                                std::span<std::byte> sealed) {
  EVP_CIPHER_CTX* const context = sealing_.get();
  unsigned char* out = Raw(sealed);
  int length = 0;
  const auto encrypt = [&](std::span<const std::byte> piece) {
    if (EVP_EncryptUpdate(context, out, &length, Raw(piece), static_cast<int>(piece.size())) != 1) {
      return false;
    }
    out += length;
    return true;
  };
  static constexpr std::array<std::byte, 64> kZeros{};
  bool good =
      sealed.size() == plaintext.size() + padding + kTagBytes && padding <= kZeros.size() &&
      EVP_EncryptInit_ex2(context, nullptr, nullptr, NonceOf(id).data(), nullptr) == 1 &&
      EVP_EncryptUpdate(context, nullptr, &length, Raw(bound), static_cast<int>(bound.size())) == 1;
  good = good && InPieces(plaintext, encrypt) &&
         InPieces(std::span(kZeros).first(padding), encrypt) &&
         EVP_EncryptFinal_ex(context, out, &length) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagBytes, out) == 1;
  return good ? absl::OkStatus() : OpensslError("encrypt a record");
}

bool RecordCipher::Open(RecordId id, std::span<const std::byte> bound,
                        std::span<const std::byte> sealed, std::span<std::byte> plaintext) {
  if (sealed.size() < kTagBytes || plaintext.size() != sealed.size() - kTagBytes) return false;
  EVP_CIPHER_CTX* const context = opening_.get();
  unsigned char* out = Raw(plaintext);
  int length = 0;
  const auto decrypt = [&](std::span<const std::byte> piece) {
    if (EVP_DecryptUpdate(context, out, &length, Raw(piece), static_cast<int>(piece.size())) != 1) {
      return false;
    }
    out += length;
    return true;
  };
  std::array<std::byte, kTagBytes> tag{};
  std::copy_n(sealed.end() - kTagBytes, kTagBytes, tag.begin());
  unsigned char rest[16];
  const bool good =
      EVP_DecryptInit_ex2(context, nullptr, nullptr, NonceOf(id).data(), nullptr) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &length, Raw(bound), static_cast<int>(bound.size())) ==
          1 &&
      InPieces(sealed.first(plaintext.size()), decrypt) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context, rest, &length) == 1;
  if (!good) {
    ERR_clear_error();
    if (!plaintext.empty()) Wipe(plaintext.data(), plaintext.size());
  }
  return good;
}

}  // namespace secretfs::providers::local
