#pragma once

// Where the services of AWS are: host names by region, in all partitions, with the FIPS and
// dual-stack variants. tests/integration/aws compares them with botocore's for every region it
// knows. Pure functions.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/http/plaintext.h"

namespace secretfs::providers::aws {

struct EndpointVariant {
  bool fips = false;
  bool dual_stack = false;
};

// "https://HOST" of `service` ("secretsmanager", "ssm", "sts"). InvalidArgument when `region` is no
// region's name, or has no such variant.
absl::StatusOr<std::string> EndpointOf(std::string_view service, std::string_view region,
                                       EndpointVariant variant);

// Scheme, host and perhaps a path of an address that somebody configured, without a slash at its
// end. InvalidArgument naming `field`, also for one that may not be asked without TLS.
absl::StatusOr<std::string> CustomEndpoint(std::string_view url, std::string_view field,
                                           Plaintext allowed = Plaintext::kThisMachine);

}  // namespace secretfs::providers::aws
