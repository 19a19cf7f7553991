#include "tests/conformance/aws_store.h"
#include "tests/conformance/registration.h"

namespace secretfs::conformance {
namespace {

[[maybe_unused]] const bool kSecrets = RegisterConformanceTests(AwsSecretsManagerKind());
[[maybe_unused]] const bool kParameters = RegisterConformanceTests(AwsParameterStoreKind());

}  // namespace
}  // namespace secretfs::conformance
