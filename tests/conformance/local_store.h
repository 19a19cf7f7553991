#pragma once

// The encrypted local store in the conformance suite. It has no network: what networks do cannot
// apply. Its files are its server, `secretfs store` is its administrator.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind LocalStoreKind();

}  // namespace secretfs::conformance
