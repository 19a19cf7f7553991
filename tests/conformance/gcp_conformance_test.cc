#include "tests/conformance/gcp_store.h"
#include "tests/conformance/registration.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterConformanceTests(GcpStoreKind());

}  // namespace
}  // namespace secretfs::conformance
