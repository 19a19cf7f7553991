#include "k8s/manifest/azure_reader.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/tls_reader.h"

namespace secretfs::k8s {
namespace {

using providers::AzureClientCertificateAuth;
using providers::AzureClientSecretAuth;
using providers::AzureIdentifier;
using providers::AzureManagedIdentityAuth;
using providers::AzureStoreConfig;
using providers::AzureWorkloadIdentityAuth;
using providers::CredentialSource;

enum class AuthType { kServicePrincipal, kManagedIdentity, kWorkloadIdentity };

// An identifier as text, or where a credential would stand.
AzureIdentifier ReadIdentifier(const Value& value, const StoreContext& context) {
  AzureIdentifier identifier;
  if (value.node().kind == YamlNode::Kind::kMapping) {
    identifier.source = ReadCredential(value, context).value_or(CredentialSource{});
  } else {
    identifier.text = value.AsNonEmptyString().value_or("");
  }
  return identifier;
}

// `name` in `first`, else in `second` (which may be missing).
AzureIdentifier FindIdentifier(const Fields& first, const std::optional<Fields>& second,
                               std::string_view name, const StoreContext& context) {
  std::optional<Value> value = first.Find(name);
  if (!value && second) value = second->Find(name);
  return value ? ReadIdentifier(*value, context) : AzureIdentifier{};
}

void CheckUrl(const Value& value, const std::string& url) {
  if (url.empty() || url.starts_with("https://")) return;
  value.Problem(Format("{} is no address; expected https://HOST", Quote(url)));
}

std::string ReadUrl(const Fields& fields, std::string_view name) {
  const std::optional<Value> value = fields.Find(name);
  if (!value) return "";
  const std::string url = value->AsNonEmptyString().value_or("");
  CheckUrl(*value, url);
  return url;
}

// What belongs to another way to log in than the one chosen.
void Refuse(const Fields& fields, const std::vector<std::string_view>& names,
            std::string_view auth_type) {
  for (const std::string_view name : names) {
    if (const auto value = fields.Find(name)) {
      value->Problem(Format("has no place with authType {}", auth_type));
    }
  }
}

providers::AzureAuth ReadServicePrincipal(const Fields& fields,
                                          const std::optional<Fields>& references,
                                          const StoreContext& context) {
  Refuse(fields, {"identityId", "federatedToken"}, "ServicePrincipal");
  AzureClientSecretAuth by_secret;
  if (!references) {
    fields.value().Problem(
        "lacks authSecretRef; expected clientId with clientSecret or clientCertificate in it, or "
        "authType ManagedIdentity or WorkloadIdentity");
    return by_secret;
  }
  const AzureIdentifier client_id = FindIdentifier(*references, std::nullopt, "clientId", context);
  if (client_id.empty() && !references->Find("clientId")) {
    references->value().Problem("lacks clientId");
  }
  const auto proof = references->FindOneOf({"clientSecret", "clientCertificate"}, true);
  if (!proof) return by_secret;
  const CredentialSource source =
      ReadCredential(proof->second, context).value_or(CredentialSource{});
  if (proof->first == "clientSecret") {
    Refuse(*references, {"certificatePassword", "sendCertificateChain"}, "and a clientSecret");
    by_secret.client_id = client_id;
    by_secret.client_secret = source;
    return by_secret;
  }
  AzureClientCertificateAuth by_certificate;
  by_certificate.client_id = client_id;
  by_certificate.client_certificate = source;
  if (const auto password = references->Find("certificatePassword")) {
    by_certificate.password = ReadCredential(*password, context).value_or(CredentialSource{});
  }
  if (const auto chain = references->Find("sendCertificateChain")) {
    by_certificate.send_chain = chain->AsBool().value_or(false);
  }
  return by_certificate;
}

providers::AzureAuth ReadManagedIdentity(const Fields& fields) {
  Refuse(fields, {"authSecretRef", "federatedToken", "clientId", "serviceAccountRef"},
         "ManagedIdentity");
  AzureManagedIdentityAuth auth;
  const std::string id = fields.String("identityId");
  // External Secrets means the client id; a resource's id cannot be mistaken for one.
  (id.starts_with('/') ? auth.resource_id : auth.client_id) = id;
  return auth;
}

providers::AzureAuth ReadWorkloadIdentity(const Fields& fields,
                                          const std::optional<Fields>& references,
                                          const StoreContext& context) {
  Refuse(fields, {"identityId"}, "WorkloadIdentity");
  AzureWorkloadIdentityAuth auth;
  auth.client_id = FindIdentifier(fields, references, "clientId", context);
  if (const auto token = fields.Find("federatedToken")) {
    auth.token = ReadCredential(*token, context).value_or(CredentialSource{});
  }
  if (references) {
    Refuse(*references, {"clientSecret", "clientCertificate"}, "WorkloadIdentity");
  }
  if (const auto account = fields.Find("serviceAccountRef")) {
    account->Warn(
        "has no effect: the token in federatedToken, else in the file that "
        "AZURE_FEDERATED_TOKEN_FILE names, is used");
  }
  return auth;
}

void ReadCloud(const Fields& fields, AzureStoreConfig& azure) {
  const std::vector<std::string_view> clouds{"PublicCloud", "USGovernmentCloud", "ChinaCloud",
                                             "GermanCloud", "AzureStackCloud"};
  const auto environment = fields.Find("environmentType");
  if (environment) {
    if (const auto index = environment->AsOneOf(clouds)) azure.environment_type = clouds[*index];
  }
  azure.authority_host = ReadUrl(fields, "authorityHost");
  azure.resource = ReadUrl(fields, "resource");
  if (const auto custom = fields.Find("customCloudConfig")) {
    const Fields config(*custom, {"activeDirectoryEndpoint", "keyVaultEndpoint",
                                  "keyVaultDNSSuffix", "resourceManagerEndpoint"});
    if (azure.authority_host.empty()) {
      azure.authority_host = ReadUrl(config, "activeDirectoryEndpoint");
    }
    if (azure.resource.empty()) azure.resource = ReadUrl(config, "keyVaultEndpoint");
  }
  if (azure.environment_type == "AzureStackCloud" && azure.authority_host.empty()) {
    environment->Problem(
        "is a cloud of its own; expected customCloudConfig with activeDirectoryEndpoint and "
        "keyVaultEndpoint beside it");
  }
  if (const auto verify = fields.Find("verifyChallengeResource")) {
    azure.verify_challenge_resource = verify->AsBool().value_or(true);
  }
}

}  // namespace

AzureStoreConfig ReadAzure(const Value& block, const StoreContext& context) {
  const Fields fields(
      block, {"vaultUrl", "authType", "tenantId", "environmentType", "authSecretRef",
              "serviceAccountRef", "identityId", "customCloudConfig", "useAzureSDK",
              // Ours, for machines without Kubernetes and vaults behind other names.
              "clientId", "federatedToken", "authorityHost", "resource", "verifyChallengeResource",
              "tls", "caBundle", "caProvider"});
  AzureStoreConfig azure;
  if (!fields.valid()) return azure;
  if (const auto url = fields.Require("vaultUrl")) {
    azure.vault_url = url->AsNonEmptyString().value_or("");
    CheckUrl(*url, azure.vault_url);
  }
  ReadCloud(fields, azure);
  azure.tls = ReadTlsOf(fields, context);

  std::optional<Fields> references;
  if (const auto block_of_references = fields.Find("authSecretRef")) {
    references.emplace(
        *block_of_references,
        std::vector<std::string_view>{"clientId", "tenantId", "clientSecret", "clientCertificate",
                                      "certificatePassword", "sendCertificateChain"});
  }
  azure.tenant_id = FindIdentifier(fields, references, "tenantId", context);
  AuthType type = AuthType::kServicePrincipal;
  if (const auto value = fields.Find("authType")) {
    type = value
               ->AsEnum<AuthType>({{"ServicePrincipal", AuthType::kServicePrincipal},
                                   {"ManagedIdentity", AuthType::kManagedIdentity},
                                   {"WorkloadIdentity", AuthType::kWorkloadIdentity}})
               .value_or(type);
  }
  switch (type) {
    case AuthType::kServicePrincipal:
      azure.auth = ReadServicePrincipal(fields, references, context);
      break;
    case AuthType::kManagedIdentity:
      azure.auth = ReadManagedIdentity(fields);
      break;
    case AuthType::kWorkloadIdentity:
      azure.auth = ReadWorkloadIdentity(fields, references, context);
      break;
  }
  return azure;
}

}  // namespace secretfs::k8s
