#pragma once

// AWS in the conformance suite: moto's Secrets Manager and Parameter Store, each a kind of store.
// Providers log in by assuming a role, or with an access key from a file.

#include "tests/conformance/store_under_test.h"

namespace secretfs::conformance {

StoreKind AwsSecretsManagerKind();
StoreKind AwsParameterStoreKind();

}  // namespace secretfs::conformance
