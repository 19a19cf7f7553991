#pragma once

// How a Google Secret Manager store is described in a manifest, in the field names of External
// Secrets: plain values without behaviour.

#include <string>
#include <variant>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

// Application Default Credentials: the first of these that is there, else the metadata server.
struct GcpDefaultAuth {
  std::string credentials_file;  // as GOOGLE_APPLICATION_CREDENTIALS names it; set: must be there
  std::string well_known_file;   // where gcloud leaves a user's
};
// A credentials file of any type, or its content: usually a service account's key.
struct GcpSecretRefAuth {
  CredentialSource secret_access_key;
};
// A GKE workload. The cluster's fields that are empty are asked of the metadata server.
struct GcpWorkloadIdentityAuth {
  std::string cluster_project_id;
  std::string cluster_location;
  std::string cluster_name;
  CredentialSource token;  // of audience PROJECT.svc.id.goog; empty: the metadata server's token
  std::string service_account;  // the Google service account to act as; may be empty
};
struct GcpWorkloadIdentityFederationAuth {
  CredentialSource cred_config;  // an external_account file, or `token` with `audience`
  std::string audience;          // set: instead of the one in `cred_config`
  CredentialSource token;
  std::string external_token_endpoint;  // set: `cred_config` may ask no other URL for its token
  std::string service_account;          // with `token`: the Google service account to act as
};
using GcpAuth = std::variant<GcpDefaultAuth, GcpSecretRefAuth, GcpWorkloadIdentityAuth,
                             GcpWorkloadIdentityFederationAuth>;

// What to do when the newest version is disabled or destroyed.
enum class GcpVersionSelection {
  kLatestOrFail,
  kLatestOrFetch,  // take the newest that is enabled
};

// Other servers than Google's: private endpoints and tests. Empty: Google's.
struct GcpEndpoints {
  std::string secret_manager;   // https://host[:port]; for all locations
  std::string sts;              // https://host[:port]
  std::string iam_credentials;  // https://host[:port]
  std::string metadata;         // host[:port], as in GCE_METADATA_HOST
};

struct GcpStoreConfig {
  std::string project_id;  // empty: keys are full resource names
  std::string location;    // set: regional secrets of this location
  GcpVersionSelection secret_version_selection_policy = GcpVersionSelection::kLatestOrFail;
  std::string quota_project;  // whom requests are charged to; empty: as the credentials say
  TlsConfig tls;
  GcpAuth auth;
  GcpEndpoints endpoints;
};

}  // namespace secretfs::providers
