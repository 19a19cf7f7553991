#pragma once

// Google's credentials files ("Application Default Credentials"), of each type that Google's own
// clients take: service_account, authorized_user, external_account (subject token from a file or a
// URL), external_account_authorized_user and impersonated_service_account. Parsing reads no other
// file and contacts nobody; addresses that secrets would be sent to are checked here, once.
//
// Plain values; a pure function.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/credential_source.h"

namespace secretfs::providers::gcp {

struct ServiceAccountKey {
  std::string client_email;
  std::string private_key_id;  // may be empty
  SecretBytes private_key;     // PEM
  std::string token_uri;
};

// A person's login, kept by gcloud; of Google's own users (authorized_user) or of a workforce pool
// (external_account_authorized_user). Both trade the refresh token for an access token.
struct UserLogin {
  std::string client_id;
  SecretBytes client_secret;
  SecretBytes refresh_token;
  std::string token_uri;
  bool client_in_header = false;  // the workforce pool's token endpoint wants it there
};

// Where the token of the other identity provider comes from: it is a whole document, or one field
// of a JSON object.
struct SubjectTokenSource {
  CredentialSource credential;  // a file where it comes from a credentials file; else `url`
  std::string url;
  std::map<std::string, SecretBytes> headers;  // with `url`
  std::string json_field;                      // empty: the whole document
};

struct ExternalAccount {
  std::string audience;
  std::string subject_token_type;
  std::string token_url;
  SubjectTokenSource source;
  std::string impersonation_url;               // empty: the federated token is used itself
  std::chrono::seconds impersonation_life{0};  // 0: the default
  std::string client_id;                       // may be empty
  SecretBytes client_secret;
  std::string workforce_pool_user_project;  // may be empty
};

struct GoogleCredentials;

struct ImpersonatedServiceAccount {
  std::string impersonation_url;
  std::vector<std::string> delegates;
  std::unique_ptr<GoogleCredentials> source;
};

struct GoogleCredentials {
  std::variant<ServiceAccountKey, UserLogin, ExternalAccount, ImpersonatedServiceAccount> kind;
  std::string quota_project;  // may be empty
};

// InvalidArgument naming the field that is missing or cannot be used, without any content but the
// file's type and addresses.
absl::StatusOr<GoogleCredentials> ParseCredentials(std::string_view json);

}  // namespace secretfs::providers::gcp
