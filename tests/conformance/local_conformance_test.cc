#include "tests/conformance/local_store.h"
#include "tests/conformance/registration.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterConformanceTests(LocalStoreKind());

}  // namespace
}  // namespace secretfs::conformance
