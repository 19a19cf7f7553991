#include "providers/azure/azure_environment.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/azure/azure_key.h"
#include "providers/azure/cloud.h"

namespace secretfs::providers::azure {
namespace {

std::string ValueOf(const Variables& variables, const std::string& name) {
  return variables(name).value_or("");
}

absl::Status CheckManagedIdentity(const Variables& variables) {
  const auto is_set = [&variables](const std::string& name) {
    return !ValueOf(variables, name).empty();
  };
  const auto refuse = [](std::string_view where) {
    return absl::FailedPreconditionError(
        Format("managed identities of {} are not supported; expected IMDS or App Service", where));
  };
  if (is_set("IDENTITY_ENDPOINT")) {
    if (is_set("IDENTITY_SERVER_THUMBPRINT")) return refuse("Service Fabric");
    if (!is_set("IDENTITY_HEADER")) return refuse("Azure Arc");
  } else if (is_set("MSI_ENDPOINT")) {
    return refuse(is_set("MSI_SECRET") ? "Azure Machine Learning" : "the Cloud Shell");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AzureStoreConfig> WithEnvironment(AzureStoreConfig config,
                                                 const Variables& variables) {
  if (config.authority_host.empty() && config.environment_type.empty()) {
    config.authority_host = ValueOf(variables, "AZURE_AUTHORITY_HOST");
    // As the SDKs take it: also without the scheme.
    if (!config.authority_host.empty() && config.authority_host.find("://") == std::string::npos) {
      config.authority_host.insert(0, "https://");
    }
  }
  if (auto* workload = std::get_if<AzureWorkloadIdentityAuth>(&config.auth)) {
    if (workload->client_id.empty()) {
      workload->client_id.text = ValueOf(variables, "AZURE_CLIENT_ID");
    }
    if (workload->token.empty()) {
      workload->token.file = ValueOf(variables, "AZURE_FEDERATED_TOKEN_FILE");
    }
  }
  if (std::holds_alternative<AzureManagedIdentityAuth>(config.auth)) {
    if (config.identity_endpoint.empty() && config.metadata_host.empty()) {
      SECRETFS_RETURN_IF_ERROR(CheckManagedIdentity(variables));
      config.identity_endpoint = ValueOf(variables, "IDENTITY_ENDPOINT");
      if (!config.identity_endpoint.empty()) {
        config.identity_header.environment = "IDENTITY_HEADER";
      }
      config.metadata_host = ValueOf(variables, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    }
  } else if (config.tenant_id.empty()) {
    config.tenant_id.text = ValueOf(variables, "AZURE_TENANT_ID");
  }
  return config;
}

absl::StatusOr<std::string> VaultUrl(std::string_view vault, std::string_view cloud_domain) {
  if (vault.starts_with("https://")) return std::string(vault);
  if (IsObjectName(vault)) return Format("https://{}.{}", vault, cloud_domain);
  const bool is_host = !vault.empty() && std::all_of(vault.begin(), vault.end(), [](char c) {
    return IsObjectName(std::string_view(&c, 1)) || c == '.' || c == ':';
  });
  if (is_host) return Format("https://{}", vault);
  return absl::InvalidArgumentError(
      Format("'{}' is no Key Vault; expected its name or its host", vault));
}

absl::StatusOr<AzureStoreConfig> ConfigFromEnvironment(std::string_view vault,
                                                       const Variables& variables) {
  AzureStoreConfig config;
  const std::string client_id = ValueOf(variables, "AZURE_CLIENT_ID");
  if (!client_id.empty() && !ValueOf(variables, "AZURE_CLIENT_SECRET").empty()) {
    AzureClientSecretAuth auth;
    auth.client_id.text = client_id;
    auth.client_secret.environment = "AZURE_CLIENT_SECRET";
    config.auth = std::move(auth);
  } else if (!client_id.empty() && !ValueOf(variables, "AZURE_CLIENT_CERTIFICATE_PATH").empty()) {
    AzureClientCertificateAuth auth;
    auth.client_id.text = client_id;
    auth.client_certificate.file = ValueOf(variables, "AZURE_CLIENT_CERTIFICATE_PATH");
    if (!ValueOf(variables, "AZURE_CLIENT_CERTIFICATE_PASSWORD").empty()) {
      auth.password.environment = "AZURE_CLIENT_CERTIFICATE_PASSWORD";
    }
    const std::string chain = ValueOf(variables, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
    auth.send_chain = chain == "1" || chain == "true" || chain == "True";
    config.auth = std::move(auth);
  } else if (!ValueOf(variables, "AZURE_FEDERATED_TOKEN_FILE").empty()) {
    config.auth = AzureWorkloadIdentityAuth{};
  } else {
    AzureManagedIdentityAuth auth;
    auth.client_id = client_id;
    config.auth = std::move(auth);
  }
  SECRETFS_ASSIGN_OR_RETURN(config, WithEnvironment(std::move(config), variables));
  const std::optional<Cloud> cloud =
      config.authority_host.empty() ? FindCloud("") : CloudOfAuthority(config.authority_host);
  SECRETFS_ASSIGN_OR_RETURN(config.vault_url,
                            VaultUrl(vault, cloud.value_or(*FindCloud("")).vault_domain));
  return config;
}

}  // namespace secretfs::providers::azure
