#include "providers/content_version.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/secret_bytes.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kShownBytes = 12;
constexpr std::string_view kKeyName = "content-version-key";

SecretBytes MakeKey() {
  SecretBytes key(kKeySize);
  auto* bytes = reinterpret_cast<unsigned char*>(key.mutable_bytes().data());
  // Without randomness nothing in this process would be safe.
  if (RAND_bytes(bytes, kKeySize) != 1) std::abort();
  return key;
}

struct Key {
  absl::Mutex mutex;
  SecretBytes bytes ABSL_GUARDED_BY(mutex) = MakeKey();
};
Key& TheKey() {
  static Key* key = new Key;
  return *key;
}

std::string Hexadecimal(std::span<const unsigned char> bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += Format("{:02x}", byte);
  return text;
}

}  // namespace

std::string ContentVersion(std::span<const std::byte> content) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Key& key = TheKey();
  absl::MutexLock lock(&key.mutex);
  if (HMAC(EVP_sha256(), key.bytes.bytes().data(), static_cast<int>(key.bytes.size()),
           reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest,
           &size) == nullptr) {
    std::abort();
  }
  return Hexadecimal({digest, kShownBytes});
}

void UseKeptContentVersionKey(KeptValues& kept) {
  Key& key = TheKey();
  absl::MutexLock lock(&key.mutex);
  std::optional<SecretBytes> known = kept.Get(kKeyName);
  if (known.has_value() && known->size() == kKeySize) {
    key.bytes = *std::move(known);
  } else {
    kept.Put(kKeyName, key.bytes.bytes());
  }
}

std::string ContentDigest(std::span<const std::byte> content) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(content.data(), content.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    std::abort();
  }
  return Hexadecimal({digest, size});
}

}  // namespace secretfs::providers
