#pragma once

// Certificates and keys in the forms that programs read: PKCS#12 and PEM taken apart, and written
// as PEM. By OpenSSL, whose own copies are wiped when they are freed in a hardened process
// (base/process_hardening.h) and which writes into locked memory here. Encrypted key derivations
// are bounded, because they run on the caller's thread.
//
// Free functions without state; safe from any thread. No error quotes content.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/secret_json.h"

namespace secretfs::providers::azure {

enum class Part {
  kEverything,    // the private key (PKCS#8), then the certificates
  kCertificates,  // leaf first, each followed by its issuer as far as it is there
  kPrivateKey,
};

// What a certificate's secret holds, as PEM. InvalidArgument when it is none, or lacks the part.
absl::StatusOr<SecretBytes> Pkcs12ToPem(std::span<const std::byte> pkcs12, Part part);
absl::StatusOr<SecretBytes> PemToPem(std::string_view pem, Part part);

// One certificate in DER as PEM.
absl::StatusOr<SecretBytes> CertificateToPem(std::span<const std::byte> der);

// The public key of a JSON Web Key (RSA, EC; "-HSM" too) as PEM (SubjectPublicKeyInfo).
absl::StatusOr<SecretBytes> PublicKeyToPem(const SecretJson& web_key);

// What a client certificate is used with.
struct SigningIdentity {
  SecretBytes key;                 // PEM, not encrypted
  std::string sha256;              // of the leaf, in base64url
  std::vector<std::string> chain;  // DER in base64, leaf first
};
// `material` is PEM, PKCS#12, or the latter in base64.
absl::StatusOr<SigningIdentity> ReadSigningIdentity(const SecretBytes& material,
                                                    const SecretBytes& password);

}  // namespace secretfs::providers::azure
