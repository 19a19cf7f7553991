#include "cli/stores/kubernetes_store.h"

#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "cli/environment.h"
#include "cli/kubernetes_environment.h"
#include "cli/stores/store_description.h"
#include "providers/kubernetes/kubernetes_provider.h"

namespace secretfs::cli {
namespace {

using providers::KubernetesAccess;
using providers::KubernetesStoreConfig;

struct IdentityOfKubernetesAuth {
  std::string operator()(const std::monostate&) const { return "as found"; }
  std::string operator()(const providers::KubernetesCertificateAuth&) const {
    return "certificate";  // which one is part of the TLS settings
  }
  std::string operator()(const providers::KubernetesTokenAuth& auth) const {
    return JoinParts({"token", Describe(auth.token)});
  }
  // Comes from a kubeconfig, never from a manifest itself.
  std::string operator()(const providers::KubernetesExecAuth& auth) const {
    std::vector<std::string> environment;
    for (const auto& [name, value] : auth.environment) {
      environment.insert(environment.end(), {name, DigestOf(value)});
    }
    return JoinParts({"exec", auth.command, JoinParts(auth.arguments), JoinParts(environment)});
  }
};

void VisitPathsOf(KubernetesAccess& access, const PathVisitor& visit) {
  VisitPaths(access.tls, visit);
  if (auto* auth = std::get_if<providers::KubernetesTokenAuth>(&access.auth)) {
    VisitPaths(auth->token, visit);
  }
}

std::string IdentityOfAccess(const KubernetesAccess& access) {
  return JoinParts(
      {access.url, Describe(access.tls), std::visit(IdentityOfKubernetesAuth(), access.auth)});
}

}  // namespace

void VisitPaths(KubernetesStoreConfig& config, const PathVisitor& visit) {
  VisitPathsOf(config.server, visit);
  VisitPathsOf(config.home, visit);
  VisitPaths(config.kubeconfig, visit);
}

std::string IdentityOf(const KubernetesStoreConfig& config) {
  std::string account;
  if (config.service_account.has_value()) {
    account = JoinParts({config.service_account->name_space, config.service_account->name,
                         JoinParts(config.service_account->audiences)});
  }
  return JoinParts({"kubernetes", config.remote_namespace, IdentityOfAccess(config.server), account,
                    IdentityOfAccess(config.home), Describe(config.kubeconfig), config.context});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const KubernetesStoreConfig& config, IoThread& io, const Clock& clock) {
  SECRETFS_ASSIGN_OR_RETURN(const KubernetesStoreConfig complete,
                            CompleteKubernetesConfig(config, ProcessEnvironment()));
  return providers::MakeKubernetesProvider(complete, io.context(), clock, io.scheduler());
}

std::vector<std::string> FilesOf(const KubernetesStoreConfig& config,
                                 const Environment& environment) {
  KubernetesStoreConfig given = config;
  std::vector<std::string> files = PathsOf(given);
  for (std::string& path : FilesOfHome(config, environment)) files.push_back(std::move(path));
  // A kubeconfig that cannot be read is told of when the store is made.
  absl::StatusOr<KubernetesStoreConfig> whole = CompleteKubernetesConfig(config, environment);
  if (!whole.ok()) return files;
  for (std::string& path : PathsOf(*whole)) files.push_back(std::move(path));
  return files;
}

}  // namespace secretfs::cli
