#include "cli/openable_paths.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <variant>

#include "base/text.h"
#include "cli/kubernetes_environment.h"
#include "cli/store_factory.h"
#include "cli/stores/gcp_store.h"
#include "cli/stores/kubernetes_store.h"
#include "providers/local/local_config.h"

namespace secretfs::cli {

namespace {

// Where the stores' own tools, and so their providers, look for credentials if nobody says more.
constexpr std::string_view kBelowHome[] = {".vault-token", ".aws", ".azure", ".config/gcloud",
                                           ".kube"};
constexpr const char* kVariables[] = {"AWS_SHARED_CREDENTIALS_FILE",
                                      "AWS_CONFIG_FILE",
                                      "AWS_WEB_IDENTITY_TOKEN_FILE",
                                      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                      "AZURE_FEDERATED_TOKEN_FILE",
                                      "AZURE_CLIENT_CERTIFICATE_PATH",
                                      "GOOGLE_APPLICATION_CREDENTIALS",
                                      "KUBECONFIG",
                                      "SSL_CERT_FILE",
                                      "SSL_CERT_DIR"};
constexpr std::string_view kServiceAccounts = "/var/run/secrets";

void AddUsualPlaces(const Environment& environment, std::set<std::string>& paths) {
  const std::string home = HomeDirectory(environment);
  if (!home.empty()) {
    for (const std::string_view name : kBelowHome) paths.insert(Format("{}/{}", home, name));
  }
  for (const char* variable : kVariables) {
    paths.insert(AbsolutePath(ValueOr(environment, variable, "")));
  }
  paths.insert(std::string(kServiceAccounts));
}

// What a kubeconfig names in its turn. One that cannot be read is told of when the store is made.
void AddPathsOfKubeconfig(const providers::KubernetesStoreConfig& store,
                          const Environment& environment, std::set<std::string>& paths) {
  for (const std::string& file : KubeconfigFiles(environment)) paths.insert(file);
  auto complete = CompleteKubernetesConfig(store, environment);
  if (!complete.ok()) return;
  VisitPaths(*complete, [&paths](std::string& path) {
    if (!path.empty()) paths.insert(path);
  });
}

}  // namespace

std::vector<std::string> OpenablePaths(const k8s::Manifest& manifest,
                                       const Environment& environment) {
  std::set<std::string> paths;
  const bool only_local = std::all_of(
      manifest.stores.begin(), manifest.stores.end(), [](const providers::StoreConfig& store) {
        return std::holds_alternative<providers::LocalStoreConfig>(store.provider);
      });
  if (!only_local) AddUsualPlaces(environment, paths);
  for (providers::StoreConfig store : manifest.stores) {
    VisitPaths(store, [&paths](std::string& path) {
      if (!path.empty()) paths.insert(path);
    });
    if (const auto* kubernetes = std::get_if<providers::KubernetesStoreConfig>(&store.provider)) {
      AddPathsOfKubeconfig(*kubernetes, environment, paths);
    }
    if (const auto* local = std::get_if<providers::LocalStoreConfig>(&store.provider)) {
      paths.insert(local->path.substr(0, local->path.rfind('/')));
      if (local->key.key_file.empty()) paths.insert(local->path + ".key");
    }
    if (const auto* gcp = std::get_if<providers::GcpStoreConfig>(&store.provider)) {
      for (const std::string& path : FilesOf(*gcp, environment)) paths.insert(path);
    }
  }
  paths.erase("");
  return {paths.begin(), paths.end()};
}

}  // namespace secretfs::cli
