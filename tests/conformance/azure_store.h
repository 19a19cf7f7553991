#pragma once

// The fake of Azure in the conformance suite: one Key Vault, written to by Microsoft's own client,
// read by a service principal whose secret is given or stands in a file.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind AzureStoreKind();

}  // namespace secretfs::conformance
