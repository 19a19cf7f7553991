#include "cli/stores/gcp_store.h"

#include <utility>
#include <variant>
#include <vector>

#include "providers/auth/credential.h"
#include "providers/gcp/credentials_file.h"
#include "providers/gcp/gcp_provider.h"

namespace secretfs::cli {
namespace {

using providers::GcpStoreConfig;

struct PathsOfGcpAuth {
  const PathVisitor& visit;
  void operator()(providers::GcpDefaultAuth& auth) const {
    visit(auth.credentials_file);
    visit(auth.well_known_file);
  }
  void operator()(providers::GcpSecretRefAuth& auth) const {
    VisitPaths(auth.secret_access_key, visit);
  }
  void operator()(providers::GcpWorkloadIdentityAuth& auth) const { VisitPaths(auth.token, visit); }
  void operator()(providers::GcpWorkloadIdentityFederationAuth& auth) const {
    VisitPaths(auth.cred_config, visit);
    VisitPaths(auth.token, visit);
  }
};

struct IdentityOfGcpAuth {
  std::string operator()(const providers::GcpDefaultAuth& auth) const {
    return JoinParts({"default", auth.credentials_file, auth.well_known_file});
  }
  std::string operator()(const providers::GcpSecretRefAuth& auth) const {
    return JoinParts({"file", Describe(auth.secret_access_key)});
  }
  std::string operator()(const providers::GcpWorkloadIdentityAuth& auth) const {
    return JoinParts({"gke", auth.cluster_project_id, auth.cluster_location, auth.cluster_name,
                      Describe(auth.token), auth.service_account});
  }
  std::string operator()(const providers::GcpWorkloadIdentityFederationAuth& auth) const {
    return JoinParts({"federation", Describe(auth.cred_config), auth.audience, Describe(auth.token),
                      auth.external_token_endpoint, auth.service_account});
  }
};

// Where a credentials file may stand.
struct CredentialsOfAuth {
  std::vector<providers::CredentialSource> operator()(const providers::GcpDefaultAuth& auth) const {
    std::vector<providers::CredentialSource> sources(2);
    sources[0].file = auth.credentials_file;
    sources[1].file = auth.well_known_file;
    return sources;
  }
  std::vector<providers::CredentialSource> operator()(
      const providers::GcpSecretRefAuth& auth) const {
    return {auth.secret_access_key};
  }
  std::vector<providers::CredentialSource> operator()(
      const providers::GcpWorkloadIdentityAuth&) const {
    return {};
  }
  std::vector<providers::CredentialSource> operator()(
      const providers::GcpWorkloadIdentityFederationAuth& auth) const {
    return {auth.cred_config};
  }
};

// "" where there is none. What is wrong with the file the provider will say.
std::string SubjectTokenFile(const providers::CredentialSource& source) {
  if (source.empty()) return "";
  const absl::StatusOr<SecretBytes> content = providers::Credential(source, "credentials").Read();
  if (!content.ok()) return "";
  const auto credentials = providers::gcp::ParseCredentials(content->ExposeAsText());
  if (!credentials.ok()) return "";
  const auto* kind = &credentials->kind;
  if (const auto* other = std::get_if<providers::gcp::ImpersonatedServiceAccount>(kind)) {
    kind = &other->source->kind;
  }
  const auto* account = std::get_if<providers::gcp::ExternalAccount>(kind);
  return account == nullptr ? "" : account->source.credential.file;
}

}  // namespace

void VisitPaths(GcpStoreConfig& config, const PathVisitor& visit) {
  VisitPaths(config.tls, visit);
  std::visit(PathsOfGcpAuth{visit}, config.auth);
}

std::string IdentityOf(const GcpStoreConfig& config) {
  return JoinParts({"gcp", config.project_id, config.location,
                    std::to_string(static_cast<int>(config.secret_version_selection_policy)),
                    config.quota_project, config.endpoints.secret_manager, config.endpoints.sts,
                    config.endpoints.iam_credentials, config.endpoints.metadata,
                    Describe(config.tls), std::visit(IdentityOfGcpAuth(), config.auth)});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const GcpStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return providers::MakeGcpProvider(WithEnvironment(config, ProcessEnvironment()), io.context(),
                                    clock, io.scheduler());
}

std::vector<std::string> FilesOf(const GcpStoreConfig& config, const Environment& environment) {
  GcpStoreConfig whole = WithEnvironment(config, environment);
  std::vector<std::string> files = PathsOf(whole);
  for (const providers::CredentialSource& source : std::visit(CredentialsOfAuth(), whole.auth)) {
    files.push_back(SubjectTokenFile(source));
  }
  if (std::holds_alternative<providers::GcpDefaultAuth>(whole.auth)) {
    // Whether this is one of Google's machines.
    files.emplace_back("/sys/class/dmi/id/product_name");
  }
  std::erase(files, "");
  return files;
}

GcpStoreConfig WithEnvironment(GcpStoreConfig config, const Environment& environment) {
  const auto value = [&environment](const char* name) { return ValueOr(environment, name, ""); };
  if (auto* auth = std::get_if<providers::GcpDefaultAuth>(&config.auth)) {
    if (auth->credentials_file.empty()) {
      auth->credentials_file = AbsolutePath(value("GOOGLE_APPLICATION_CREDENTIALS"));
    }
    if (auth->well_known_file.empty()) {
      std::string folder = value("CLOUDSDK_CONFIG");
      const std::string home = HomeDirectory(environment);
      if (folder.empty() && !home.empty()) folder = home + "/.config/gcloud";
      if (!folder.empty()) {
        auth->well_known_file = AbsolutePath(folder + "/application_default_credentials.json");
      }
    }
  }
  if (config.quota_project.empty()) config.quota_project = value("GOOGLE_CLOUD_QUOTA_PROJECT");
  if (config.endpoints.metadata.empty()) config.endpoints.metadata = value("GCE_METADATA_HOST");
  return config;
}

}  // namespace secretfs::cli
