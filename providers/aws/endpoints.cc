#include "providers/aws/endpoints.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "base/text.h"
#include "providers/http/url.h"

namespace secretfs::providers::aws {
namespace {

// A set of regions with an account system and DNS names of its own.
struct Partition {
  std::string_view region_prefix;
  std::string_view suffix, dual_stack_suffix;
};

constexpr std::string_view kGovernment = "us-gov-";

// The first that fits; the public partition, which has all other names, stands last.
constexpr std::array<Partition, 8> kPartitions{{
    {"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
    {"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
    {"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
    {"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
    {"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
    {kGovernment, "amazonaws.com", "api.aws"},
    {"", "amazonaws.com", "api.aws"},
}};

bool IsRegionName(std::string_view region) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !region.empty() && region.size() <= 63 && region.front() != '-' && region.back() != '-' &&
         std::all_of(region.begin(), region.end(), allowed);
}

}  // namespace

absl::StatusOr<std::string> EndpointOf(std::string_view service, std::string_view region,
                                       EndpointVariant variant) {
  if (!IsRegionName(region)) {
    return absl::InvalidArgumentError(
        Format("'{}' is no AWS region; expected a name such as eu-central-1", region));
  }
  const Partition& partition =
      *std::find_if(kPartitions.begin(), kPartitions.end(),
                    [&](const Partition& one) { return region.starts_with(one.region_prefix); });
  const bool government = partition.region_prefix == kGovernment;
  const bool china = partition.region_prefix == "cn-";
  // In the older partitions Secrets Manager's plain names answer both IP versions themselves.
  const bool plain_is_dual = service == "secretsmanager" &&
                             (partition.dual_stack_suffix == "api.aws" || (china && !variant.fips));
  // In GovCloud the plain names of these two are FIPS endpoints.
  const bool plain_is_fips = government && !variant.dual_stack && service != "secretsmanager";
  const bool dual = variant.dual_stack && !plain_is_dual;
  return Format("https://{}{}.{}.{}", service, variant.fips && !plain_is_fips ? "-fips" : "",
                region, dual ? partition.dual_stack_suffix : partition.suffix);
}

absl::StatusOr<std::string> CustomEndpoint(std::string_view url, std::string_view field,
                                           Plaintext allowed) {
  while (url.ends_with('/')) url.remove_suffix(1);
  const std::string text(url);
  const absl::StatusOr<Origin> origin = OriginOf(text);
  if (!origin.ok() || url.find_first_of("?#@ ") != std::string_view::npos) {
    return absl::InvalidArgumentError(Format(
        "{} must be a URL such as https://HOST:PORT, without user, query or fragment", field));
  }
  SECRETFS_RETURN_IF_ERROR(CheckConfidential(text, allowed, field));
  return text;
}

}  // namespace secretfs::providers::aws
