#pragma once

// The `vault` block of a store, and what the Kubernetes kinds say about Vault in words of their
// own: paths of its HTTP API. Free functions without state.

#include <string>

#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {

// Problems are reported; what could be read is returned.
providers::VaultStoreConfig ReadVault(const Value& block, const StoreContext& context);

// Reports a server that is no http or https address; "" is fine.
void CheckServer(const Value& value, const std::string& server);

}  // namespace secretfs::k8s
