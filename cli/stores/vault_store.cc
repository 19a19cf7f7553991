#include "cli/stores/vault_store.h"

#include <functional>
#include <variant>

#include "base/text.h"
#include "cli/stores/store_description.h"
#include "providers/vault/vault_provider.h"

namespace secretfs::cli {
namespace {

using providers::VaultStoreConfig;

struct PathsOfAuth {
  void operator()(providers::VaultTokenAuth& auth) const { MakePathsAbsolute(auth.token); }
  void operator()(providers::VaultAppRoleAuth& auth) const {
    MakePathsAbsolute(auth.role_ref);
    MakePathsAbsolute(auth.secret_id);
  }
  void operator()(providers::VaultJwtAuth& auth) const { MakePathsAbsolute(auth.jwt); }
  void operator()(providers::VaultKubernetesAuth& auth) const { MakePathsAbsolute(auth.jwt); }
};

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

}  // namespace

void MakePathsAbsolute(VaultStoreConfig& config) {
  MakePathsAbsolute(config.tls);
  std::visit(PathsOfAuth(), config.auth);
}

std::string IdentityOf(const VaultStoreConfig& config) {
  std::string headers;  // may say who asks, and may be credentials: by hash only
  for (const auto& [name, value] : config.headers) {
    headers += Format("{}={:016x},", name, std::hash<std::string>{}(value));
  }
  return Format("vault;{};{};{};{};{};{};{}", config.server, config.path, config.version,
                config.name_space, Describe(config.tls), headers,
                std::visit(IdentityOfAuth(), config.auth));
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const VaultStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return providers::MakeVaultProvider(config, io.context(), clock, io.scheduler());
}

}  // namespace secretfs::cli
