#include "cli/stores/vault_store.h"

#include <variant>
#include <vector>

#include "base/text.h"
#include "cli/kubernetes_environment.h"
#include "cli/stores/store_description.h"
#include "providers/vault/vault_provider.h"

namespace secretfs::cli {
namespace {

using providers::VaultStoreConfig;

struct PathsOfVaultAuth {
  const PathVisitor& visit;
  void operator()(providers::VaultTokenAuth& auth) const { VisitPaths(auth.token, visit); }
  void operator()(providers::VaultAppRoleAuth& auth) const {
    VisitPaths(auth.role_ref, visit);
    VisitPaths(auth.secret_id, visit);
  }
  void operator()(providers::VaultJwtAuth& auth) const { VisitPaths(auth.jwt, visit); }
  void operator()(providers::VaultKubernetesAuth& auth) const { VisitPaths(auth.jwt, visit); }
};

struct IdentityOfVaultAuth {
  std::string operator()(const providers::VaultTokenAuth& auth) const {
    return JoinParts({"token", Describe(auth.token)});
  }
  std::string operator()(const providers::VaultAppRoleAuth& auth) const {
    return JoinParts({"approle", auth.path, auth.role_id, Describe(auth.role_ref),
                      Describe(auth.secret_id), auth.secret_id_is_wrapped ? "wrapped" : ""});
  }
  std::string operator()(const providers::VaultJwtAuth& auth) const {
    return JoinParts({"jwt", auth.path, auth.role, Describe(auth.jwt)});
  }
  std::string operator()(const providers::VaultKubernetesAuth& auth) const {
    return JoinParts({"kubernetes", auth.mount_path, auth.role, Describe(auth.jwt)});
  }
};

}  // namespace

void VisitPaths(VaultStoreConfig& config, const PathVisitor& visit) {
  VisitPaths(config.tls, visit);
  std::visit(PathsOfVaultAuth{visit}, config.auth);
}

std::string IdentityOf(const VaultStoreConfig& config) {
  std::vector<std::string> headers;  // may say who asks, and may be credentials
  for (const auto& [name, value] : config.headers) {
    headers.insert(headers.end(), {name, DigestOf(value)});
  }
  return JoinParts({"vault", config.server, config.path, config.version, config.name_space,
                    Describe(config.tls), JoinParts(headers),
                    std::visit(IdentityOfVaultAuth(), config.auth)});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const VaultStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return providers::MakeVaultProvider(config, io.context(), clock, io.scheduler());
}

std::vector<std::string> FilesOf(const VaultStoreConfig& config, const Environment&) {
  VaultStoreConfig given = config;
  std::vector<std::string> files = PathsOf(given);
  const auto* kubernetes = std::get_if<providers::VaultKubernetesAuth>(&config.auth);
  if (kubernetes != nullptr && kubernetes->jwt.empty()) {
    files.push_back(Format("{}/token", kServiceAccountFolder));
  }
  return files;
}

}  // namespace secretfs::cli
