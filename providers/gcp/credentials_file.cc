#include "providers/gcp/credentials_file.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/gcp_client.h"
#include "providers/http/url.h"
#include "providers/secret_json.h"

namespace secretfs::providers::gcp {
namespace {

constexpr std::string_view kGoogleTokenUri = "https://oauth2.googleapis.com/token";
constexpr std::string_view kGoogleUniverse = "googleapis.com";
constexpr std::chrono::seconds kLongestImpersonation = std::chrono::hours(12);

absl::Status Wrong(std::string_view field, std::string_view expected) {
  return absl::InvalidArgumentError(
      Format("'{}' is missing or wrong; expected {}", field, expected));
}

// Reads the fields of one JSON object.
class Object {
 public:
  explicit Object(const SecretJson& json) : json_(json) {}

  const SecretJson* Find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  // "" when it is not there; what is there but no text is an error.
  absl::StatusOr<std::string_view> Text(const char* name) const {
    const SecretJson* value = Find(name);
    if (value == nullptr) return std::string_view();
    const auto* text = value->get_ptr<const SecretString*>();
    if (text == nullptr) return Wrong(name, "text");
    return std::string_view(*text);
  }
  absl::StatusOr<std::string_view> RequiredText(const char* name) const {
    SECRETFS_ASSIGN_OR_RETURN(const std::string_view text, Text(name));
    if (text.empty()) return Wrong(name, "text that is not empty");
    return text;
  }
  absl::StatusOr<SecretBytes> RequiredSecret(const char* name) const {
    SECRETFS_ASSIGN_OR_RETURN(const std::string_view text, RequiredText(name));
    return SecretBytes::CopyOf(text);
  }
  // An address that credentials are sent to.
  absl::StatusOr<std::string> TrustedUrl(const char* name, std::string_view otherwise) const {
    SECRETFS_ASSIGN_OR_RETURN(std::string_view text, Text(name));
    if (text.empty()) text = otherwise;
    if (text.empty()) return Wrong(name, "a URL");
    SECRETFS_RETURN_IF_ERROR(CheckTrustedUrl(text, name));
    return std::string(text);
  }

 private:
  const SecretJson& json_;
};

absl::StatusOr<ServiceAccountKey> ReadServiceAccount(const Object& file) {
  ServiceAccountKey key;
  SECRETFS_ASSIGN_OR_RETURN(key.client_email, file.RequiredText("client_email"));
  SECRETFS_ASSIGN_OR_RETURN(key.private_key_id, file.Text("private_key_id"));
  SECRETFS_ASSIGN_OR_RETURN(key.private_key, file.RequiredSecret("private_key"));
  SECRETFS_ASSIGN_OR_RETURN(key.token_uri, file.TrustedUrl("token_uri", kGoogleTokenUri));
  return key;
}

absl::StatusOr<UserLogin> ReadUser(const Object& file, bool of_workforce_pool) {
  UserLogin user;
  user.client_in_header = of_workforce_pool;
  SECRETFS_ASSIGN_OR_RETURN(user.client_id, file.RequiredText("client_id"));
  SECRETFS_ASSIGN_OR_RETURN(user.client_secret, file.RequiredSecret("client_secret"));
  SECRETFS_ASSIGN_OR_RETURN(user.refresh_token, file.RequiredSecret("refresh_token"));
  if (of_workforce_pool) {
    SECRETFS_ASSIGN_OR_RETURN(user.token_uri, file.TrustedUrl("token_url", ""));
  } else {
    SECRETFS_ASSIGN_OR_RETURN(user.token_uri, file.TrustedUrl("token_uri", kGoogleTokenUri));
  }
  return user;
}

absl::Status ReadHeaders(const SecretJson& json, std::map<std::string, SecretBytes>& headers) {
  const auto* members = json.get_ptr<const SecretJson::object_t*>();
  if (members == nullptr) return Wrong("credential_source.headers", "an object");
  for (const auto& [name, value] : *members) {
    const auto* text = value.get_ptr<const SecretString*>();
    const bool good = text != nullptr && !name.empty() &&
                      name.find_first_of(": \t\r\n") == SecretString::npos &&
                      text->find_first_of("\r\n") == SecretString::npos;
    if (!good) return Wrong("credential_source.headers", "names and values of HTTP headers");
    headers.insert_or_assign(std::string(std::string_view(name)),
                             SecretBytes::CopyOf(std::string_view(*text)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFormat(const Object& source) {
  const SecretJson* format = source.Find("format");
  if (format == nullptr) return "";
  if (!format->is_object()) return Wrong("credential_source.format", "an object");
  const Object fields(*format);
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view type, fields.Text("type"));
  if (type.empty() || type == "text") return "";
  if (type != "json") return Wrong("credential_source.format.type", "text or json");
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view field,
                            fields.RequiredText("subject_token_field_name"));
  return std::string(field);
}

absl::StatusOr<SubjectTokenSource> ReadSource(const Object& file) {
  const SecretJson* json = file.Find("credential_source");
  if (json == nullptr || !json->is_object()) return Wrong("credential_source", "an object");
  const Object fields(*json);
  // Running a program that a file names is left to the tools that made the file; AWS's own tokens
  // and client certificates are not built in.
  for (const char* other : {"executable", "environment_id", "certificate"}) {
    if (fields.Find(other) != nullptr) {
      return absl::InvalidArgumentError(
          Format("a credential_source with '{}' is not built into this version; expected file or "
                 "url",
                 other));
    }
  }
  SubjectTokenSource source;
  SECRETFS_ASSIGN_OR_RETURN(source.credential.file, fields.Text("file"));
  SECRETFS_ASSIGN_OR_RETURN(source.url, fields.Text("url"));
  if (source.credential.empty() == source.url.empty()) {
    return Wrong("credential_source", "either file or url");
  }
  // A daemon has no working directory to start from.
  if (!source.credential.empty() && source.credential.file.front() != '/') {
    return Wrong("credential_source.file", "an absolute path");
  }
  if (!source.url.empty()) {
    if (!OriginOf(source.url).ok()) return Wrong("credential_source.url", "an http or https URL");
    SECRETFS_RETURN_IF_ERROR(
        CheckConfidential(source.url, Plaintext::kMetadata, "the credential_source.url"));
  }
  SECRETFS_ASSIGN_OR_RETURN(source.json_field, ReadFormat(fields));
  const SecretJson* headers = fields.Find("headers");
  if (headers != nullptr) SECRETFS_RETURN_IF_ERROR(ReadHeaders(*headers, source.headers));
  return source;
}

absl::StatusOr<std::chrono::seconds> ReadLife(const Object& file) {
  const SecretJson* options = file.Find("service_account_impersonation");
  if (options == nullptr) return std::chrono::seconds(0);
  if (!options->is_object()) return Wrong("service_account_impersonation", "an object");
  const SecretJson* life = Object(*options).Find("token_lifetime_seconds");
  if (life == nullptr) return std::chrono::seconds(0);
  const int64_t seconds = life->is_number_integer() ? life->get<int64_t>() : 0;
  if (seconds < 1 || std::chrono::seconds(seconds) > kLongestImpersonation) {
    return Wrong("token_lifetime_seconds", "a number from 600 to 43200");
  }
  return std::chrono::seconds(seconds);
}

absl::StatusOr<ExternalAccount> ReadExternalAccount(const Object& file) {
  ExternalAccount account;
  SECRETFS_ASSIGN_OR_RETURN(account.audience, file.RequiredText("audience"));
  SECRETFS_ASSIGN_OR_RETURN(account.subject_token_type, file.RequiredText("subject_token_type"));
  SECRETFS_ASSIGN_OR_RETURN(account.token_url,
                            file.TrustedUrl("token_url", "https://sts.googleapis.com/v1/token"));
  SECRETFS_ASSIGN_OR_RETURN(account.source, ReadSource(file));
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view impersonate,
                            file.Text("service_account_impersonation_url"));
  if (!impersonate.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(account.impersonation_url,
                              file.TrustedUrl("service_account_impersonation_url", ""));
  }
  SECRETFS_ASSIGN_OR_RETURN(account.impersonation_life, ReadLife(file));
  SECRETFS_ASSIGN_OR_RETURN(account.client_id, file.Text("client_id"));
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view secret, file.Text("client_secret"));
  account.client_secret = SecretBytes::CopyOf(secret);
  SECRETFS_ASSIGN_OR_RETURN(account.workforce_pool_user_project,
                            file.Text("workforce_pool_user_project"));
  return account;
}

absl::StatusOr<GoogleCredentials> ReadCredentials(const SecretJson& json, bool inside);

absl::StatusOr<ImpersonatedServiceAccount> ReadImpersonated(const Object& file) {
  ImpersonatedServiceAccount account;
  SECRETFS_ASSIGN_OR_RETURN(account.impersonation_url,
                            file.TrustedUrl("service_account_impersonation_url", ""));
  if (const SecretJson* delegates = file.Find("delegates")) {
    const auto* items = delegates->get_ptr<const SecretJson::array_t*>();
    if (items == nullptr) return Wrong("delegates", "a list of service accounts");
    for (const SecretJson& item : *items) {
      const auto* text = item.get_ptr<const SecretString*>();
      if (text == nullptr) return Wrong("delegates", "a list of service accounts");
      account.delegates.emplace_back(std::string_view(*text));
    }
  }
  const SecretJson* source = file.Find("source_credentials");
  if (source == nullptr) return Wrong("source_credentials", "credentials");
  absl::StatusOr<GoogleCredentials> inner = ReadCredentials(*source, true);
  if (!inner.ok()) return WithContext(inner.status(), "source_credentials");
  account.source = std::make_unique<GoogleCredentials>(*std::move(inner));
  return account;
}

absl::StatusOr<GoogleCredentials> ReadCredentials(const SecretJson& json, bool inside) {
  if (!json.is_object()) return absl::InvalidArgumentError("it is no JSON object");
  const Object file(json);
  GoogleCredentials credentials;
  SECRETFS_ASSIGN_OR_RETURN(credentials.quota_project, file.Text("quota_project_id"));
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view universe, file.Text("universe_domain"));
  if (!universe.empty() && universe != kGoogleUniverse) {
    return absl::InvalidArgumentError(
        "credentials of another universe_domain than googleapis.com are not built into this "
        "version");
  }
  SECRETFS_ASSIGN_OR_RETURN(const std::string_view type, file.RequiredText("type"));
  if (type == "service_account") {
    SECRETFS_ASSIGN_OR_RETURN(credentials.kind, ReadServiceAccount(file));
  } else if (type == "authorized_user" || type == "external_account_authorized_user") {
    SECRETFS_ASSIGN_OR_RETURN(credentials.kind, ReadUser(file, type != "authorized_user"));
  } else if (type == "external_account") {
    SECRETFS_ASSIGN_OR_RETURN(credentials.kind, ReadExternalAccount(file));
  } else if (type == "impersonated_service_account" && !inside) {
    SECRETFS_ASSIGN_OR_RETURN(credentials.kind, ReadImpersonated(file));
  } else {
    return absl::InvalidArgumentError(
        "its type is not known here; expected service_account, authorized_user, external_account, "
        "external_account_authorized_user or impersonated_service_account");
  }
  return credentials;
}

}  // namespace

absl::StatusOr<GoogleCredentials> ParseCredentials(std::string_view json) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson parsed, ParseSecretJson(json));
  return ReadCredentials(parsed, false);
}

}  // namespace secretfs::providers::gcp
