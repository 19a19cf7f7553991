#include "cli/store_factory.h"

#include <optional>
#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "cli/stores/aws_store.h"
#include "cli/stores/azure_store.h"
#include "cli/stores/gcp_store.h"
#include "cli/stores/kubernetes_store.h"
#include "cli/stores/local_store.h"
#include "cli/stores/vault_store.h"
#include "cli/vault_environment.h"
#include "providers/azure/azure_environment.h"
#include "providers/local/default_paths.h"

namespace secretfs::cli {

using providers::LocalStoreConfig;
using providers::VaultStoreConfig;

namespace {

std::optional<providers::AwsService> AwsServiceOf(StoreScheme scheme) {
  if (scheme == StoreScheme::kAwsSecretsManager) return providers::AwsService::kSecretsManager;
  if (scheme == StoreScheme::kAwsParameterStore) return providers::AwsService::kParameterStore;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<providers::StoreConfig> StoreConfigFor(const StoreUrl& url,
                                                      const Environment& environment) {
  if (url.scheme == StoreScheme::kLocal) {
    const LocalStoreConfig config =
        providers::local::WithDefaults({.path = AbsolutePath(url.path), .key = {}});
    return providers::StoreConfig{.name = "local", .provider = config};
  }
  if (url.scheme == StoreScheme::kGcp) {
    // Keys are full resource names; credentials come from where Google's own tools have them.
    const providers::GcpStoreConfig config = WithEnvironment({}, environment);
    return providers::StoreConfig{.name = "gcp", .provider = config};
  }
  if (url.scheme == StoreScheme::kKubernetes) {
    providers::KubernetesStoreConfig config;
    config.remote_namespace = url.path;
    return providers::StoreConfig{.name = "kubernetes", .provider = std::move(config)};
  }
  if (url.scheme == StoreScheme::kAzure) {
    SECRETFS_ASSIGN_OR_RETURN(providers::AzureStoreConfig config,
                              providers::azure::ConfigFromEnvironment(
                                  url.path.substr(0, url.path.find('/')), environment));
    return providers::StoreConfig{.name = "azure", .provider = std::move(config)};
  }
  if (const std::optional<providers::AwsService> service = AwsServiceOf(url.scheme)) {
    // Region and credentials come from where AWS's own tools have them.
    providers::AwsStoreConfig config;
    config.service = *service;
    return providers::StoreConfig{.name = "aws", .provider = std::move(config)};
  }
  SECRETFS_ASSIGN_OR_RETURN(VaultStoreConfig config, VaultConfigFromEnvironment(environment));
  return providers::StoreConfig{.name = "vault", .provider = std::move(config)};
}

void VisitPaths(providers::StoreConfig& config, const PathVisitor& visit) {
  std::visit(
      [&visit](auto& provider) {
        if constexpr (requires { VisitPaths(provider, visit); }) {
          VisitPaths(provider, visit);
        } else {
          MakePathsAbsolute(provider);
        }
      },
      config.provider);
}

std::vector<std::string> FilesOf(const providers::StoreConfig& config,
                                 const Environment& environment) {
  std::vector<std::string> files =
      std::visit([&environment](const auto& provider) { return FilesOf(provider, environment); },
                 config.provider);
  std::erase(files, "");
  for (std::string& path : files) path = AbsolutePath(path);
  return files;
}

void MakePathsAbsolute(providers::StoreConfig& config) {
  VisitPaths(config, [](std::string& path) { path = AbsolutePath(path); });
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
