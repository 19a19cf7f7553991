#include "tests/conformance/registration.h"
#include "tests/conformance/vault_store.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterConformanceTests(VaultStoreKind());

}  // namespace
}  // namespace secretfs::conformance
