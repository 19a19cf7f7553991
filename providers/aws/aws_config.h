#pragma once

// How a store in AWS is described in a manifest, in the field names of External Secrets: plain
// values without behaviour.

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

// Whatever AWS's own tools would find: environment, web identity, shared files, container endpoint,
// instance metadata (docs/aws.md has the order).
struct AwsDefaultAuth {
  std::string profile;  // not empty: only this profile of the shared files
};
struct AwsStaticAuth {
  CredentialSource access_key_id;
  CredentialSource secret_access_key;
  CredentialSource session_token;  // empty: long-lived keys
};
// A token of an OpenID Connect issuer, such as a service account's (IRSA).
struct AwsWebIdentityAuth {
  std::string role_arn;
  CredentialSource token;
  std::string session_name;
};
// EKS Pod Identity, and every other agent that gives credentials out over HTTP.
struct AwsContainerAuth {
  std::string url;
  CredentialSource token;  // empty: none is sent
};
using AwsAuth = std::variant<AwsDefaultAuth, AwsStaticAuth, AwsWebIdentityAuth, AwsContainerAuth>;

enum class AwsService { kSecretsManager, kParameterStore };

// Another name and version for one key, as SecretRef has them.
struct AwsObjectName {
  std::string key;
  std::string version;
  friend auto operator<=>(const AwsObjectName&, const AwsObjectName&) = default;
};

struct AwsStoreConfig {
  AwsService service = AwsService::kSecretsManager;
  std::string region;  // empty: from the environment or the profile
  // Asked when the first region cannot be reached, is slow or answers 5xx.
  std::string failover_region;
  // What is called differently in the failover region.
  std::map<AwsObjectName, AwsObjectName> failover_names;
  // In front of every key (that is no ARN).
  std::string prefix;

  AwsAuth auth;
  // Assumed one after the other with what `auth` gives, `role` last; external_id, session_tags and
  // transitive_tag_keys go with `role`.
  std::vector<std::string> additional_roles;
  std::string role;
  std::string external_id;
  std::vector<std::pair<std::string, std::string>> session_tags;
  std::vector<std::string> transitive_tag_keys;

  // Not empty: instead of AWS's own addresses.
  std::string endpoint;
  std::string failover_endpoint;
  std::string sts_endpoint;
  bool fips = false;
  bool dual_stack = false;
  TlsConfig tls;
};

}  // namespace secretfs::providers
