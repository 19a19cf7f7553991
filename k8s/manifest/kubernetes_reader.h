#pragma once

// The `kubernetes` block of a store. Free functions without state.

#include "k8s/manifest/store_reader.h"
#include "providers/kubernetes/kubernetes_config.h"

namespace secretfs::k8s {

// Problems are reported; what could be read is returned. No kubeconfig is opened: what the block
// leaves out is filled in when the store is made.
providers::KubernetesStoreConfig ReadKubernetesStore(const Value& block,
                                                     const StoreContext& context);

}  // namespace secretfs::k8s
