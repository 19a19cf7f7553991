#include "tests/conformance/kubernetes_store.h"
#include "tests/conformance/registration.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterConformanceTests(KubernetesStoreKind());

}  // namespace
}  // namespace secretfs::conformance
