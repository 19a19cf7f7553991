#include "cli/stores/gcp_store.h"

#include <utility>
#include <variant>

#include "base/text.h"
#include "providers/gcp/gcp_provider.h"

namespace secretfs::cli {
namespace {

using providers::GcpStoreConfig;

struct PathsOfAuth {
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

struct IdentityOfAuth {
  std::string operator()(const providers::GcpDefaultAuth& auth) const {
    return Format("default;{};{}", auth.credentials_file, auth.well_known_file);
  }
  std::string operator()(const providers::GcpSecretRefAuth& auth) const {
    return Format("file;{}", Describe(auth.secret_access_key));
  }
  std::string operator()(const providers::GcpWorkloadIdentityAuth& auth) const {
    return Format("gke;{};{};{};{};{}", auth.cluster_project_id, auth.cluster_location,
                  auth.cluster_name, Describe(auth.token), auth.service_account);
  }
  std::string operator()(const providers::GcpWorkloadIdentityFederationAuth& auth) const {
    return Format("federation;{};{};{};{};{}", Describe(auth.cred_config), auth.audience,
                  Describe(auth.token), auth.external_token_endpoint, auth.service_account);
  }
};

}  // namespace

void VisitPaths(GcpStoreConfig& config, const PathVisitor& visit) {
  VisitPaths(config.tls, visit);
  std::visit(PathsOfAuth{visit}, config.auth);
}

std::string IdentityOf(const GcpStoreConfig& config) {
  return Format("gcp;{};{};{};{};{};{};{};{};{};{}", config.project_id, config.location,
                static_cast<int>(config.secret_version_selection_policy), config.quota_project,
                config.endpoints.secret_manager, config.endpoints.sts,
                config.endpoints.iam_credentials, config.endpoints.metadata, Describe(config.tls),
                std::visit(IdentityOfAuth(), config.auth));
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const GcpStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return providers::MakeGcpProvider(WithEnvironment(config, ProcessEnvironment()), io.context(),
                                    clock, io.scheduler());
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
