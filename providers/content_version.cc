#include "providers/content_version.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>

#include "base/secret_bytes.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kShownBytes = 12;

SecretBytes MakeKey() {
  SecretBytes key(kKeySize);
  auto* bytes = reinterpret_cast<unsigned char*>(key.mutable_bytes().data());
  // Without randomness nothing in this process would be safe.
  if (RAND_bytes(bytes, kKeySize) != 1) std::abort();
  return key;
}

}  // namespace

std::string ContentVersion(std::span<const std::byte> content) {
  static const SecretBytes& key = *new SecretBytes(MakeKey());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest,
           &size) == nullptr) {
    std::abort();
  }
  std::string text;
  for (size_t i = 0; i < kShownBytes; ++i) text += Format("{:02x}", digest[i]);
  return text;
}

}  // namespace secretfs::providers
