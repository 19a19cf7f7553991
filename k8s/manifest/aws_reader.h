#pragma once

// The `aws` block of a store: External Secrets' fields, and ours for machines without Kubernetes
// (profile, web identity and container credentials from files, endpoints, failover). Free functions
// without state.

#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {

// Problems are reported; what could be read is returned.
providers::AwsStoreConfig ReadAws(const Value& block, const StoreContext& context);

}  // namespace secretfs::k8s
