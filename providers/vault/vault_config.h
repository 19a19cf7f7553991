#pragma once

// How a Vault store is described in a manifest, in the field names of External Secrets: plain
// values without behaviour.

#include <map>
#include <string>
#include <variant>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

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

}  // namespace secretfs::providers
