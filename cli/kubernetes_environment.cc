#include "cli/kubernetes_environment.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "base/file_access.h"
#include "base/status.h"
#include "base/text.h"
#include "k8s/manifest/kubeconfig.h"
#include "providers/auth/credential.h"

namespace secretfs::cli {
namespace {

using k8s::KubeconfigContext;
using k8s::KubeconfigText;
using providers::KubernetesAccess;
using providers::KubernetesStoreConfig;

bool Exists(const std::string& path) {
  struct stat status;
  return StatFile(path, status) == 0;
}

bool HasAuth(const KubernetesAccess& access) {
  return !std::holds_alternative<std::monostate>(access.auth);
}

bool HasAuthorities(const providers::TlsConfig& tls) {
  return !tls.ca_file.empty() || !tls.ca_directory.empty() || !tls.ca_bundle.empty() ||
         tls.skip_verify;
}

absl::StatusOr<KubeconfigText> ReadText(const providers::CredentialSource& source,
                                        std::string name) {
  providers::Credential credential(source, "kubeconfig");
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes text, credential.Read());
  return KubeconfigText{std::move(name), std::make_shared<const SecretBytes>(std::move(text))};
}

KubernetesAccess AccessOfPod(const Environment& environment, const std::string& account_folder) {
  const std::string host = ValueOr(environment, "KUBERNETES_SERVICE_HOST", "");
  const std::string port = ValueOr(environment, "KUBERNETES_SERVICE_PORT", "443");
  KubernetesAccess access;
  const bool is_ipv6 = host.find(':') != std::string::npos;
  access.url =
      is_ipv6 ? Format("https://[{}]:{}", host, port) : Format("https://{}:{}", host, port);
  access.tls.ca_file = account_folder + "/ca.crt";
  providers::CredentialSource token;
  token.file = account_folder + "/token";
  access.auth = providers::KubernetesTokenAuth{std::move(token)};
  return access;
}

bool IsComplete(const KubernetesStoreConfig& config) {
  return !config.server.url.empty() && HasAuth(config.server) &&
         !config.service_account.has_value();
}

bool IsInPod(const Environment& environment, const std::string& account_folder) {
  return !ValueOr(environment, "KUBERNETES_SERVICE_HOST", "").empty() &&
         Exists(account_folder + "/token");
}

// The cluster that is asked unless the description says otherwise, and who asks it.
absl::StatusOr<KubernetesAccess> Home(const KubernetesStoreConfig& config,
                                      const Environment& environment,
                                      const std::string& account_folder) {
  std::vector<KubeconfigText> texts;
  if (!config.kubeconfig.empty()) {
    const std::string name =
        config.kubeconfig.file.empty() ? "of the manifest" : config.kubeconfig.file;
    SECRETFS_ASSIGN_OR_RETURN(KubeconfigText text, ReadText(config.kubeconfig, name));
    texts.push_back(std::move(text));
  } else if (IsInPod(environment, account_folder)) {
    return AccessOfPod(environment, account_folder);
  } else {
    for (const std::string& file : KubeconfigFiles(environment)) {
      providers::CredentialSource source;
      source.file = file;
      SECRETFS_ASSIGN_OR_RETURN(KubeconfigText text, ReadText(source, file));
      texts.push_back(std::move(text));
    }
  }
  if (texts.empty()) {
    return absl::FailedPreconditionError(
        "no API server is known: give server.url and auth, or kubeconfig; there is neither a pod's "
        "service account here, nor $KUBECONFIG, nor ~/.kube/config");
  }
  SECRETFS_ASSIGN_OR_RETURN(KubeconfigContext context, ReadKubeconfig(texts, config.context));
  return std::move(context.access);
}

}  // namespace

std::vector<std::string> KubeconfigFiles(const Environment& environment) {
  std::string list = ValueOr(environment, "KUBECONFIG", "");
  if (list.empty()) {
    const std::string home = HomeDirectory(environment);
    if (!home.empty()) list = home + "/.kube/config";
  }
  std::vector<std::string> files;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    const std::string file = list.substr(begin, end - begin);
    if (!file.empty() && Exists(file)) files.push_back(AbsolutePath(file));
    begin = end + 1;
  }
  return files;
}

std::vector<std::string> FilesOfHome(const KubernetesStoreConfig& config,
                                     const Environment& environment,
                                     const std::string& account_folder) {
  if (IsComplete(config)) return {};
  if (!config.kubeconfig.empty()) return {config.kubeconfig.file};
  if (IsInPod(environment, account_folder)) {
    return {account_folder + "/token", account_folder + "/ca.crt"};
  }
  return KubeconfigFiles(environment);
}

absl::StatusOr<KubernetesStoreConfig> CompleteKubernetesConfig(KubernetesStoreConfig config,
                                                               const Environment& environment,
                                                               const std::string& account_folder) {
  if (IsComplete(config)) return config;
  const bool asks_for_tokens = config.service_account.has_value();
  SECRETFS_ASSIGN_OR_RETURN(const KubernetesAccess home, Home(config, environment, account_folder));
  const bool is_home = config.server.url.empty() || config.server.url == home.url;
  if (!is_home && !HasAuth(config.server) && !asks_for_tokens) {
    return absl::InvalidArgumentError(
        Format("server.url {} is another server than {}, whose credential is at hand; set auth",
               config.server.url, home.url));
  }
  if (is_home) {
    config.server.url = home.url;
    // The manifest's own words about TLS win.
    const providers::TlsConfig given = std::move(config.server.tls);
    config.server.tls = home.tls;
    if (HasAuthorities(given)) {
      config.server.tls.ca_file = given.ca_file;
      config.server.tls.ca_directory = given.ca_directory;
      config.server.tls.ca_bundle = given.ca_bundle;
      config.server.tls.skip_verify = given.skip_verify;
    }
    if (!given.server_name.empty()) config.server.tls.server_name = given.server_name;
    if (HasAuth(config.server)) {
      config.server.tls.client_certificate_file = given.client_certificate_file;
      config.server.tls.client_key_file = given.client_key_file;
      config.server.tls.client_certificate = given.client_certificate;
      config.server.tls.client_key = given.client_key;
    } else {
      config.server.auth = home.auth;
    }
  }
  if (asks_for_tokens) config.home = home;
  config.kubeconfig = {};
  return config;
}

}  // namespace secretfs::cli
