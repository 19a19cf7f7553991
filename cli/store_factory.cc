#include "cli/store_factory.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "cli/vault_environment.h"
#include "providers/local/default_paths.h"
#include "providers/local/local_provider.h"
#include "providers/vault/vault_provider.h"

namespace secretfs::cli {
namespace {

using providers::CredentialSource;
using providers::LocalStoreConfig;
using providers::VaultStoreConfig;

void MakeAbsolute(CredentialSource& source) { source.file = AbsolutePath(source.file); }

struct PathsOfAuth {
  void operator()(providers::VaultTokenAuth& auth) const { MakeAbsolute(auth.token); }
  void operator()(providers::VaultAppRoleAuth& auth) const {
    MakeAbsolute(auth.role_ref);
    MakeAbsolute(auth.secret_id);
  }
  void operator()(providers::VaultJwtAuth& auth) const { MakeAbsolute(auth.jwt); }
  void operator()(providers::VaultKubernetesAuth& auth) const { MakeAbsolute(auth.jwt); }
};

struct PathsOfStore {
  void operator()(LocalStoreConfig& config) const {
    config.path = AbsolutePath(config.path);
    config.key.key_file = AbsolutePath(config.key.key_file);
    MakeAbsolute(config.key.passphrase);
  }
  void operator()(VaultStoreConfig& config) const {
    for (std::string* path : {&config.tls.ca_file, &config.tls.ca_directory,
                              &config.tls.client_certificate_file, &config.tls.client_key_file}) {
      *path = AbsolutePath(*path);
    }
    std::visit(PathsOfAuth(), config.auth);
  }
};

// An inline value is told apart by its object, not by its content.
std::string Describe(const CredentialSource& source) {
  return Format("file={};environment={};inline={}", source.file, source.environment,
                static_cast<const void*>(source.inline_value.get()));
}

struct IdentityOfAuth {
  std::string operator()(const providers::VaultTokenAuth& auth) const {
    return Format("token;{}", Describe(auth.token));
  }
  std::string operator()(const providers::VaultAppRoleAuth& auth) const {
    return Format("approle;{};{};{};{};{}", auth.path, auth.role_id, Describe(auth.role_ref),
                  Describe(auth.secret_id), auth.secret_id_is_wrapped);
  }
  std::string operator()(const providers::VaultJwtAuth& auth) const {
    return Format("jwt;{};{};{}", auth.path, auth.role, Describe(auth.jwt));
  }
  std::string operator()(const providers::VaultKubernetesAuth& auth) const {
    return Format("kubernetes;{};{};{}", auth.mount_path, auth.role, Describe(auth.jwt));
  }
};

struct IdentityOfStore {
  std::string operator()(const LocalStoreConfig& config) const {
    return Format("local;{};{};{};{}", config.path, config.key.key_file,
                  Describe(config.key.passphrase), config.key.systemd_credential);
  }
  std::string operator()(const VaultStoreConfig& config) const {
    const providers::TlsConfig& tls = config.tls;
    std::string headers;  // may say who asks, and may be credentials: by hash only
    for (const auto& [name, value] : config.headers) {
      headers += Format("{}={:016x},", name, std::hash<std::string>{}(value));
    }
    return Format("vault;{};{};{};{};{};{};{};{};{};{:016x};{};{};{}", config.server, config.path,
                  config.version, config.name_space, tls.client_certificate_file,
                  tls.client_key_file, tls.server_name, tls.ca_file, tls.ca_directory,
                  std::hash<std::string>{}(tls.ca_bundle), tls.skip_verify, headers,
                  std::visit(IdentityOfAuth(), config.auth));
  }
};

}  // namespace

absl::StatusOr<providers::StoreConfig> StoreConfigFor(const StoreUrl& url,
                                                      const Environment& environment) {
  if (url.scheme == StoreScheme::kLocal) {
    const LocalStoreConfig config =
        providers::local::WithDefaults({.path = AbsolutePath(url.path), .key = {}});
    return providers::StoreConfig{.name = "local", .provider = config};
  }
  SECRETFS_ASSIGN_OR_RETURN(VaultStoreConfig config, VaultConfigFromEnvironment(environment));
  return providers::StoreConfig{.name = "vault", .provider = std::move(config)};
}

void MakePathsAbsolute(providers::StoreConfig& config) {
  std::visit(PathsOfStore(), config.provider);
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::StoreConfig& config, IoThread& io, const Clock& clock) {
  if (const auto* local = std::get_if<LocalStoreConfig>(&config.provider)) {
    return std::shared_ptr<providers::Provider>(
        providers::MakeLocalProvider(*local, io.context(), clock));
  }
  auto provider = providers::MakeVaultProvider(std::get<VaultStoreConfig>(config.provider),
                                               io.context(), clock, io.scheduler());
  if (!provider.ok()) return WithContext(provider.status(), Format("store '{}'", config.name));
  return provider;
}

std::string IdentityOf(const providers::StoreConfig& config) {
  return std::visit(IdentityOfStore(), config.provider);
}

}  // namespace secretfs::cli
