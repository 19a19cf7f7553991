#include "cli/store_factory.h"

#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "cli/stores/local_store.h"
#include "cli/stores/vault_store.h"
#include "cli/vault_environment.h"
#include "providers/local/default_paths.h"

namespace secretfs::cli {

using providers::LocalStoreConfig;
using providers::VaultStoreConfig;

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
  std::visit([](auto& provider) { MakePathsAbsolute(provider); }, config.provider);
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::StoreConfig& config, IoThread& io, const Clock& clock) {
  auto provider = std::visit(
      [&io, &clock](const auto& store) { return MakeProvider(store, io, clock); }, config.provider);
  if (!provider.ok()) return WithContext(provider.status(), Format("store '{}'", config.name));
  return provider;
}

std::string IdentityOf(const providers::StoreConfig& config) {
  return std::visit([](const auto& provider) { return IdentityOf(provider); }, config.provider);
}

}  // namespace secretfs::cli
