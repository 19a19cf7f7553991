#pragma once

// Reads External Secrets' SecretStore and ClusterSecretStore (external-secrets.io v1 and v1beta1).
// Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

// Adds the store that `document` describes. `kind` is kSecretStore or kClusterSecretStore.
// REQUIRES: all Secrets and ConfigMaps are in draft.resources.
void ReadSecretStore(const Value& document, StoreKind kind, Draft& draft);

}  // namespace secretfs::k8s
