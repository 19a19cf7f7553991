#pragma once

// How Vault's own CLI finds its server and credentials, so that `secretfs mount vault:…` works
// where `vault kv get` does: VAULT_ADDR, VAULT_TOKEN or the file ~/.vault-token, VAULT_CACERT,
// VAULT_CAPATH, VAULT_CACERT_BYTES, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_TLS_SERVER_NAME,
// VAULT_SKIP_VERIFY, VAULT_NAMESPACE. Reads no file; free functions without state.

#include "absl/status/statusor.h"
#include "cli/environment.h"
#include "providers/store_config.h"

namespace secretfs::cli {

// InvalidArgument when a variable has a value that cannot be used.
absl::StatusOr<providers::VaultStoreConfig> VaultConfigFromEnvironment(
    const Environment& environment);

}  // namespace secretfs::cli
