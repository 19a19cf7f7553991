#include "tests/conformance/azure_store.h"
#include "tests/conformance/registration.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterConformanceTests(AzureStoreKind());

}  // namespace
}  // namespace secretfs::conformance
