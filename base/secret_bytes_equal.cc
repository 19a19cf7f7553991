// Comparing secrets takes OpenSSL, which the holder does without.

#include <openssl/crypto.h>

#include "base/secret_bytes.h"

namespace secretfs {

bool SecretBytes::ConstantTimeEquals(const SecretBytes& other) const {
  return size_ == other.size_ && (size_ == 0 || CRYPTO_memcmp(data_, other.data_, size_) == 0);
}

}  // namespace secretfs
