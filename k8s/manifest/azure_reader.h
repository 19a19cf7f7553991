#pragma once

// The block `azurekv` of a store: Azure Key Vault. Free functions without state.

#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {

providers::AzureStoreConfig ReadAzure(const Value& block, const StoreContext& context);

}  // namespace secretfs::k8s
