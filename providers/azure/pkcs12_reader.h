#pragma once

// Takes PKCS#12 apart, of whatever age its ciphers are (OpenSSL's legacy provider is loaded for
// this alone, where it is installed). Free functions without state; safe from any thread.

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/azure/openssl_objects.h"

namespace secretfs::providers::azure {

struct KeyAndCertificates {
  UniqueKey key;  // null if there is none
  std::vector<UniqueX509> certificates;
};

// InvalidArgument when it is no PKCS#12, the password is wrong, or it asks for more than 600,000
// rounds of key derivation.
absl::StatusOr<KeyAndCertificates> ReadPkcs12(std::span<const std::byte> pkcs12,
                                              const SecretBytes& password);

}  // namespace secretfs::providers::azure
