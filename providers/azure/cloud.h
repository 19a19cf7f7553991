#pragma once

// Azure's clouds: where each logs in and under which domains its vaults live. Pure functions.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace secretfs::providers::azure {

struct Cloud {
  std::string_view authority_host;
  std::string_view vault_domain;  // vaults are NAME.DOMAIN, tokens are made for https://DOMAIN
};

// By the names that External Secrets (PublicCloud …), Azure's CLI and the CSI provider
// (AzurePublicCloud …) use, letters of either case; "" is the public cloud. Nothing for others and
// for AzureStackCloud, whose addresses only its operator knows.
std::optional<Cloud> FindCloud(std::string_view name);

// The cloud that logs in at this host (https://login.chinacloudapi.cn); nothing for others.
std::optional<Cloud> CloudOfAuthority(std::string_view authority_host);

// The names that FindCloud is documented with.
std::vector<std::string_view> CloudNames();

// https://DOMAIN for the host of a vault or managed HSM in any of the clouds; "" for other hosts.
std::string ResourceOfHost(std::string_view host);

}  // namespace secretfs::providers::azure
