#pragma once

// How a key names an object of a Key Vault, which version of it, and in which form it is wanted.
// Pure functions and plain values: no server is asked here.
//
//   db                      the secret "db"
//   secret/db  cert/www  key/signing          as External Secrets writes them
//   secret/www?format=pem                     a certificate's secret, converted
//   secret/db/VERSION, secret/db?version=V    a version; also as SecretRef::version
//
// A version is the vault's own identifier, "latest", or either followed by "~N": the N-th enabled
// version before it, by the time of creation ("latest~0" is the newest that is enabled).

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/provider.h"

namespace secretfs::providers::azure {

enum class Kind { kSecret, kCertificate, kKey };

enum class Form {
  kValue,        // secret: as it is stored
  kAuto,         // secret: PEM if it belongs to a certificate, else as it is stored
  kPem,          // secret: private key and certificates; certificate, key: PEM
  kCertificate,  // secret: only the certificates, leaf first
  kPrivateKey,   // secret: only the private key
  kDer,          // certificate
  kJwk,          // key: the JSON Web Key
};

struct ObjectKey {
  Kind kind = Kind::kSecret;
  std::string name;
  std::string version;        // empty: the newest
  std::optional<int> before;  // so many enabled versions before `version`
  Form form = Form::kValue;
};

// InvalidArgument for names that no vault can have, unknown kinds, formats that the kind does not
// have, and versions that are none. `external_secrets_formats` as in AzureStoreConfig.
absl::StatusOr<ObjectKey> ParseKey(const SecretRef& ref, bool external_secrets_formats);

// The kind that a prefix to list means: "" and "secret", "cert", "key".
absl::StatusOr<Kind> ParsePrefix(std::string_view prefix);

// "secrets", "certificates", "keys": the collection in the vault's URLs.
std::string_view CollectionOf(Kind kind);
// "secret 'db'", for messages.
std::string Describe(const ObjectKey& key);

// 1 to 127 letters, digits and hyphens.
bool IsObjectName(std::string_view name);
// As IsObjectName, up to 64.
bool IsVersion(std::string_view version);

}  // namespace secretfs::providers::azure
