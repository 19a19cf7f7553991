#pragma once

// How a store is described, once for all deliveries: plain structs, one a kind of store in the
// store's own folder, whose fields carry the names of External Secrets' SecretStore.spec.provider.
// Manifests of any kind (secretfs.yaml, SecretStore, SecretProviderClass, a STORE_URL) are
// translated into these; cli/store_factory makes the Provider. Credentials are referred to by file,
// environment variable or inline SecretBytes-backed value.

#include <string>
#include <variant>

#include "providers/aws/aws_config.h"
#include "providers/azure/azure_config.h"
#include "providers/gcp/gcp_config.h"
#include "providers/kubernetes/kubernetes_config.h"
#include "providers/local/local_config.h"
#include "providers/vault/vault_config.h"

namespace secretfs::providers {

using ProviderConfig = std::variant<LocalStoreConfig, VaultStoreConfig, AwsStoreConfig,
                                    KubernetesStoreConfig, AzureStoreConfig, GcpStoreConfig>;

struct StoreConfig {
  std::string name;
  ProviderConfig provider;
};

}  // namespace secretfs::providers
