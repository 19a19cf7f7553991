#pragma once

// Makes signed JSON Web Tokens (RFC 7515 compact form) with an RSA key: what service account keys
// and client certificates log in with. Signs only: nothing here reads or verifies a token.
//
// The key is parsed for each token and its parsed form wiped afterwards (by OpenSSL, whose memory
// is not locked), so that between logins it exists in the caller's SecretBytes only. Free functions
// without state; safe from any thread.

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/secret_json.h"

namespace secretfs::providers {

enum class JwtAlgorithm {
  kRs256,  // RSASSA-PKCS1-v1_5 with SHA-256
  kPs256,  // RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt as long as the digest
};

// HEADER.CLAIMS.SIGNATURE. `header` goes beside "alg" and "typ" (for example "kid"); `key` is PEM
// (PKCS#8 or PKCS#1, not encrypted; certificates around it are passed over). InvalidArgument when
// there is no such key in it, naming what is wrong without its content.
absl::StatusOr<SecretBytes> SignJwt(JwtAlgorithm algorithm,
                                    const std::map<std::string, std::string>& header,
                                    const SecretJson& claims, const SecretBytes& key);

// The same with header members that are no texts ("x5c").
absl::StatusOr<SecretBytes> SignJwt(JwtAlgorithm algorithm, SecretJson header,
                                    const SecretJson& claims, const SecretBytes& key);

// The alphabet of RFC 4648 section 5, without padding.
SecretBytes EncodeBase64Url(std::span<const std::byte> bytes);

}  // namespace secretfs::providers
