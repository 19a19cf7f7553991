#include "providers/azure/cloud.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace secretfs::providers::azure {
namespace {

constexpr Cloud kPublic{"https://login.microsoftonline.com", "vault.azure.net"};
constexpr Cloud kGovernment{"https://login.microsoftonline.us", "vault.usgovcloudapi.net"};
constexpr Cloud kChina{"https://login.chinacloudapi.cn", "vault.azure.cn"};
constexpr Cloud kGerman{"https://login.microsoftonline.de", "vault.microsoftazure.de"};

struct Name {
  std::string_view name;  // in lower case
  Cloud cloud;
};
constexpr std::array<Name, 11> kNames{{
    {"", kPublic},
    {"publiccloud", kPublic},
    {"azurepubliccloud", kPublic},
    {"azurecloud", kPublic},
    {"usgovernmentcloud", kGovernment},
    {"azureusgovernmentcloud", kGovernment},
    {"azureusgovernment", kGovernment},
    {"chinacloud", kChina},
    {"azurechinacloud", kChina},
    {"germancloud", kGerman},
    {"azuregermancloud", kGerman},
}};

// Of vaults and of managed HSMs, which are read through the same API.
constexpr std::array<std::string_view, 8> kDomains{
    kPublic.vault_domain,           "managedhsm.azure.net",        kGovernment.vault_domain,
    "managedhsm.usgovcloudapi.net", kChina.vault_domain,           "managedhsm.azure.cn",
    kGerman.vault_domain,           "managedhsm.microsoftazure.de"};

}  // namespace

std::optional<Cloud> FindCloud(std::string_view name) {
  const std::string lower = LowerCase(name);
  for (const Name& known : kNames) {
    if (known.name == lower) return known.cloud;
  }
  return std::nullopt;
}

std::optional<Cloud> CloudOfAuthority(std::string_view authority_host) {
  std::string lower = LowerCase(authority_host);
  while (lower.ends_with('/')) lower.pop_back();
  // The Chinese cloud has two names for its authority.
  if (lower == "https://login.partner.microsoftonline.cn") return kChina;
  for (const Cloud& cloud : {kPublic, kGovernment, kChina, kGerman}) {
    if (cloud.authority_host == lower) return cloud;
  }
  return std::nullopt;
}

std::vector<std::string_view> CloudNames() {
  return {"PublicCloud", "USGovernmentCloud", "ChinaCloud", "GermanCloud", "AzureStackCloud"};
}

std::string ResourceOfHost(std::string_view host) {
  const std::string lower = LowerCase(host);
  for (const std::string_view domain : kDomains) {
    if (lower.ends_with(Format(".{}", domain))) return Format("https://{}", domain);
  }
  return "";
}

}  // namespace secretfs::providers::azure
