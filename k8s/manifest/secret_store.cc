#include "k8s/manifest/secret_store.h"

#include <utility>

#include "k8s/manifest/object_header.h"
#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {
namespace {

// What External Secrets takes for granted where our own format detects or asks the environment.
void ApplyKubernetesDefaults(const Value& provider, ProviderConfig& config) {
  if (auto* azure = std::get_if<providers::AzureStoreConfig>(&config)) {
    azure->external_secrets_formats = true;
  }
  auto* vault = std::get_if<providers::VaultStoreConfig>(&config);
  if (vault == nullptr) return;
  if (vault->version.empty()) vault->version = "v2";
  const Fields fields(provider, ProviderNames());
  const std::optional<Value> block = fields.Find("vault");
  if (vault->server.empty() && block) block->Problem("lacks server; expected https://HOST:PORT");
}

}  // namespace

void ReadSecretStore(const Value& document, StoreKind kind, Draft& draft) {
  const Fields fields(document, {"apiVersion", "kind", "metadata", "spec", "status"});
  const ObjectHeader header = ReadObjectHeader(fields);
  const std::optional<Value> spec = fields.Require("spec");
  StoreDraft store;
  store.kind = kind;
  store.name = header.name;
  store.where = document.location();
  if (spec) {
    // How the operator retries and which namespaces may use the store means nothing to one mount.
    const Fields spec_fields(
        *spec, {"provider", "controller", "retrySettings", "refreshInterval", "conditions"});
    if (const std::optional<Value> provider = spec_fields.Require("provider")) {
      const std::string name_space = kind == StoreKind::kSecretStore ? header.name_space : "";
      const Fields provider_fields(*provider, ProviderNames());
      std::optional<ProviderConfig> config =
          ReadProvider(provider_fields, {&draft.resources, name_space});
      if (config) {
        ApplyKubernetesDefaults(*provider, *config);
        store.config = providers::StoreConfig{header.name, *std::move(config)};
      }
    }
  }
  draft.AddStore(std::move(store));
}

}  // namespace secretfs::k8s
