#pragma once

// How a store is described, once for all deliveries: plain structs whose fields carry the names of
// External Secrets' SecretStore.spec.provider. Manifests of any kind (secretfs.yaml, SecretStore,
// SecretProviderClass, a STORE_URL) are translated into these; cli/store_factory makes the
// Provider. Credentials are referred to by file, environment variable or inline SecretBytes-backed
// value.

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/secret_bytes.h"

namespace secretfs::providers {

// Where a credential comes from. Exactly one member is set. Files are read again when they change.
struct CredentialSource {
  std::string file;                                 // path
  std::string environment;                          // name of an environment variable
  std::shared_ptr<const SecretBytes> inline_value;  // from a Kubernetes Secret manifest given along
  bool empty() const { return file.empty() && environment.empty() && inline_value == nullptr; }
};

struct LocalKeySource {
  std::string key_file;            // 32 random bytes, hex or raw; mode 0600 or tighter
  CredentialSource passphrase;     // through scrypt
  std::string systemd_credential;  // name below $CREDENTIALS_DIRECTORY
};

struct LocalStoreConfig {
  std::string path;    // the store file
  LocalKeySource key;  // all empty: the key file beside the store, PATH.key
};

struct TlsConfig {
  std::string ca_file;
  std::string ca_directory;
  std::string ca_bundle;  // PEM text
  std::string client_certificate_file;
  std::string client_key_file;
  std::string server_name;   // verified and sent as SNI instead of the URL's host
  bool skip_verify = false;  // logs a warning on each start
};

struct VaultTokenAuth {
  CredentialSource token;
};
struct VaultAppRoleAuth {
  std::string path = "approle";
  std::string role_id;
  CredentialSource role_ref;
  CredentialSource secret_id;
  bool secret_id_is_wrapped = false;  // secret_id holds a response-wrapping token
};
struct VaultJwtAuth {
  std::string path = "jwt";
  std::string role;
  CredentialSource jwt;
};
struct VaultKubernetesAuth {
  std::string mount_path = "kubernetes";
  std::string role;
  CredentialSource jwt;  // empty: /var/run/secrets/kubernetes.io/serviceaccount/token
};
using VaultAuth = std::variant<VaultTokenAuth, VaultAppRoleAuth, VaultJwtAuth, VaultKubernetesAuth>;

struct VaultStoreConfig {
  std::string server;  // https://host:port
  // The secret engine's mount. Empty: a key's first components are matched against the server's
  // mounts (sys/internal/ui/mounts), so that keys are full paths such as "secret/app/db".
  std::string path;
  std::string version;  // "v1", "v2" or empty: detected
  std::string name_space;
  std::map<std::string, std::string> headers;
  TlsConfig tls;
  VaultAuth auth;
};

struct StoreConfig {
  std::string name;
  std::variant<LocalStoreConfig, VaultStoreConfig> provider;
};

}  // namespace secretfs::providers
