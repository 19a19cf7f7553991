#pragma once

// How an Azure Key Vault store is described in a manifest, in the field names of External Secrets
// (azurekv): plain values without behaviour.

#include <string>
#include <variant>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

// An identifier that is no secret but may stand in one, as External Secrets has it: one of the two.
struct AzureIdentifier {
  std::string text;
  CredentialSource source;
  bool empty() const { return text.empty() && source.empty(); }
};

// A service principal with a password.
struct AzureClientSecretAuth {
  AzureIdentifier client_id;
  CredentialSource client_secret;
};
// A service principal that signs with the RSA key of a registered certificate.
struct AzureClientCertificateAuth {
  AzureIdentifier client_id;
  CredentialSource client_certificate;  // PEM or PKCS#12 (also in base64), with its private key
  CredentialSource password;            // of the PKCS#12 or the key; empty: none
  bool send_chain = false;              // x5c: for "subject name and issuer" trust
};
// A token of another issuer (Kubernetes) that Entra trusts; the file is read at each login.
struct AzureWorkloadIdentityAuth {
  AzureIdentifier client_id;
  CredentialSource token;
};
// At most one of the three names a user-assigned identity; none: the system-assigned one.
struct AzureManagedIdentityAuth {
  std::string client_id;
  std::string object_id;
  std::string resource_id;
};
using AzureAuth = std::variant<AzureClientSecretAuth, AzureClientCertificateAuth,
                               AzureWorkloadIdentityAuth, AzureManagedIdentityAuth>;

struct AzureStoreConfig {
  std::string vault_url;  // https://NAME.vault.azure.net
  // Empty: the one that the vault names. Not used by managed identities.
  AzureIdentifier tenant_id;
  // PublicCloud (also ""), USGovernmentCloud, ChinaCloud, GermanCloud, or AzureStackCloud, which
  // needs authority_host and resource.
  std::string environment_type;
  std::string authority_host;  // https://login.microsoftonline.com; empty: the cloud's
  // What tokens are made for, https://vault.azure.net. Empty: the cloud's if the vault lies in it,
  // else what the vault itself asks for, as far as it is the vault's own domain.
  std::string resource;
  // False: a vault may ask for tokens of any resource (vaults behind other names).
  bool verify_challenge_resource = true;
  TlsConfig tls;
  AzureAuth auth;
  // What a key without a format means: for External Secrets a certificate in DER and a key as JSON
  // Web Key; otherwise both as PEM.
  bool external_secrets_formats = false;

  // Where managed identities are asked, from the environment as Azure's SDKs read it (see
  // azure_environment.h). An identity endpoint is App Service's.
  std::string metadata_host;  // empty: http://169.254.169.254
  std::string identity_endpoint;
  CredentialSource identity_header;
};

}  // namespace secretfs::providers
