#pragma once

// A real Vault in the conformance suite: secrets are fields `value` of its key-value engine of
// version 2, providers log in by AppRole, or with a token from a file.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind VaultStoreKind();

}  // namespace secretfs::conformance
