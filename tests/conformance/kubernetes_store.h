#pragma once

// A real Kubernetes API server in the conformance suite: secrets are the key `value` of Secrets of
// one namespace, providers ask with tokens of a service account, or with a token from a file.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind KubernetesStoreKind();

}  // namespace secretfs::conformance
