#pragma once

// The `gcpsm` block of a store: Google Secret Manager. Free functions without state.

#include "k8s/manifest/store_reader.h"
#include "providers/gcp/gcp_config.h"

namespace secretfs::k8s {

// Problems are reported; what could be read is returned.
providers::GcpStoreConfig ReadGcp(const Value& block, const StoreContext& context);

}  // namespace secretfs::k8s
