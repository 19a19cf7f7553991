#pragma once

// What the environment says about Azure, in the variables that Azure's SDKs read: fills what a
// store's description leaves open, and makes a description from nothing else. Pure functions.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/azure/azure_config.h"

namespace secretfs::providers::azure {

// The value of an environment variable; nothing when it is not set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// Fills in AZURE_TENANT_ID, AZURE_AUTHORITY_HOST, for workload identities AZURE_CLIENT_ID and
// AZURE_FEDERATED_TOKEN_FILE, and where managed identities are asked (IDENTITY_ENDPOINT and
// IDENTITY_HEADER, AZURE_POD_IDENTITY_AUTHORITY_HOST). What is configured stays. FailedPrecondition
// when the environment is one whose managed identities are not supported.
absl::StatusOr<AzureStoreConfig> WithEnvironment(AzureStoreConfig config,
                                                 const Variables& variables);

// The vault `vault`, a name or a host, with the identity that the environment describes, in the
// order of Azure's SDKs: AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH,
// AZURE_FEDERATED_TOKEN_FILE, else a managed identity (with AZURE_CLIENT_ID, if set).
absl::StatusOr<AzureStoreConfig> ConfigFromEnvironment(std::string_view vault,
                                                       const Variables& variables);

// https://NAME.DOMAIN of the cloud; a host or URL as it is. InvalidArgument for what is neither.
absl::StatusOr<std::string> VaultUrl(std::string_view vault, std::string_view cloud_domain);

}  // namespace secretfs::providers::azure
