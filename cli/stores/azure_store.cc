#include "cli/stores/azure_store.h"

#include <variant>

#include "base/status.h"
#include "cli/environment.h"
#include "providers/azure/azure_environment.h"
#include "providers/azure/azure_provider.h"

namespace secretfs::cli {
namespace {

using providers::AzureIdentifier;
using providers::AzureStoreConfig;

struct PathsOfAzureAuth {
  const PathVisitor& visit;
  void operator()(providers::AzureClientSecretAuth& auth) const {
    VisitPaths(auth.client_id.source, visit);
    VisitPaths(auth.client_secret, visit);
  }
  void operator()(providers::AzureClientCertificateAuth& auth) const {
    VisitPaths(auth.client_id.source, visit);
    VisitPaths(auth.client_certificate, visit);
    VisitPaths(auth.password, visit);
  }
  void operator()(providers::AzureWorkloadIdentityAuth& auth) const {
    VisitPaths(auth.client_id.source, visit);
    VisitPaths(auth.token, visit);
  }
  void operator()(providers::AzureManagedIdentityAuth&) const {}
};

using secretfs::cli::Describe;  // and one more
std::string Describe(const AzureIdentifier& identifier) {
  return JoinParts({identifier.text, Describe(identifier.source)});
}

struct IdentityOfAzureAuth {
  std::string operator()(const providers::AzureClientSecretAuth& auth) const {
    return JoinParts({"secret", Describe(auth.client_id), Describe(auth.client_secret)});
  }
  std::string operator()(const providers::AzureClientCertificateAuth& auth) const {
    return JoinParts({"certificate", Describe(auth.client_id), Describe(auth.client_certificate),
                      Describe(auth.password), auth.send_chain ? "chain" : ""});
  }
  std::string operator()(const providers::AzureWorkloadIdentityAuth& auth) const {
    return JoinParts({"workload", Describe(auth.client_id), Describe(auth.token)});
  }
  std::string operator()(const providers::AzureManagedIdentityAuth& auth) const {
    return JoinParts({"managed", auth.client_id, auth.object_id, auth.resource_id});
  }
};

}  // namespace

void VisitPaths(AzureStoreConfig& config, const PathVisitor& visit) {
  VisitPaths(config.tls, visit);
  VisitPaths(config.tenant_id.source, visit);
  VisitPaths(config.identity_header, visit);
  std::visit(PathsOfAzureAuth{visit}, config.auth);
}

std::string IdentityOf(const AzureStoreConfig& config) {
  return JoinParts({"azure", config.vault_url, Describe(config.tenant_id), config.environment_type,
                    config.authority_host, config.resource,
                    config.verify_challenge_resource ? "verify" : "", Describe(config.tls),
                    config.external_secrets_formats ? "external secrets" : "", config.metadata_host,
                    config.identity_endpoint, Describe(config.identity_header),
                    std::visit(IdentityOfAzureAuth(), config.auth)});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const AzureStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  SECRETFS_ASSIGN_OR_RETURN(const AzureStoreConfig complete,
                            providers::azure::WithEnvironment(config, ProcessEnvironment()));
  return providers::MakeAzureProvider(complete, io.context(), clock, io.scheduler());
}

std::vector<std::string> FilesOf(const AzureStoreConfig& config, const Environment& environment) {
  absl::StatusOr<AzureStoreConfig> whole = providers::azure::WithEnvironment(config, environment);
  if (whole.ok()) return PathsOf(*whole);
  // What is wrong with the environment the provider will say.
  AzureStoreConfig given = config;
  return PathsOf(given);
}

}  // namespace secretfs::cli
