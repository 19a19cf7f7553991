#include "cli/vault_environment.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {
namespace {

constexpr char kDefaultAddress[] = "https://127.0.0.1:8200";

// The words that Vault's CLI accepts for a boolean.
absl::StatusOr<bool> ParseBoolean(const std::string& name, const std::string& text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"", "0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return absl::InvalidArgumentError(Format("{}='{}' is neither true nor false", name, text));
}

providers::CredentialSource TokenSource(const Environment& environment) {
  providers::CredentialSource source;
  if (!ValueOr(environment, "VAULT_TOKEN", "").empty()) {
    source.environment = "VAULT_TOKEN";
  } else {
    source.file = HomeDirectory(environment) + "/.vault-token";
  }
  return source;
}

}  // namespace

absl::StatusOr<providers::VaultStoreConfig> VaultConfigFromEnvironment(
    const Environment& environment) {
  providers::VaultStoreConfig config;
  config.server = ValueOr(environment, "VAULT_ADDR", "");
  if (config.server.empty()) config.server = kDefaultAddress;
  if (!config.server.starts_with("https://") && !config.server.starts_with("http://")) {
    return absl::InvalidArgumentError(Format(
        "VAULT_ADDR is '{}'; expected a URL such as https://vault.example:8200", config.server));
  }
  config.name_space = ValueOr(environment, "VAULT_NAMESPACE", "");
  config.tls.ca_file = AbsolutePath(ValueOr(environment, "VAULT_CACERT", ""));
  config.tls.ca_directory = AbsolutePath(ValueOr(environment, "VAULT_CAPATH", ""));
  config.tls.ca_bundle = ValueOr(environment, "VAULT_CACERT_BYTES", "");
  config.tls.client_certificate_file = AbsolutePath(ValueOr(environment, "VAULT_CLIENT_CERT", ""));
  config.tls.client_key_file = AbsolutePath(ValueOr(environment, "VAULT_CLIENT_KEY", ""));
  config.tls.server_name = ValueOr(environment, "VAULT_TLS_SERVER_NAME", "");
  SECRETFS_ASSIGN_OR_RETURN(
      config.tls.skip_verify,
      ParseBoolean("VAULT_SKIP_VERIFY", ValueOr(environment, "VAULT_SKIP_VERIFY", "")));
  config.auth = providers::VaultTokenAuth{.token = TokenSource(environment)};
  return config;
}

}  // namespace secretfs::cli
