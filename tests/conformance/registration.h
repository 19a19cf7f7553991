#pragma once

// Makes GoogleTest's tests of the table of cases for one kind of store: KIND.CASE. Cases that
// cannot apply are skipped with their reason.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

// To be called before RUN_ALL_TESTS, for example to initialise a constant. Returns true.
bool RegisterConformanceTests(StoreKind kind);

}  // namespace secretfs::conformance
