#pragma once

// The fake of Google Cloud in the conformance suite: secrets of one project, read by a service
// account whose key is given or stands in a file.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind GcpStoreKind();

}  // namespace secretfs::conformance
