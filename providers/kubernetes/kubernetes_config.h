#pragma once

// How a store of Kubernetes Secrets is described in a manifest, in the field names of External
// Secrets: plain values without behaviour.
//
// A description that comes from a manifest may leave out the server or the credential and name a
// kubeconfig instead; cli/stores/kubernetes_store.h completes it. The provider takes complete ones.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

// No token: the client certificate of the TLS settings says who asks.
struct KubernetesCertificateAuth {};
struct KubernetesTokenAuth {
  CredentialSource token;
};
// A credential plugin, as a kubeconfig's user names it.
struct KubernetesExecAuth {
  std::string api_version = "client.authentication.k8s.io/v1";
  std::string command;  // a path, or a name to be found on PATH
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  bool provide_cluster_info = false;
  std::string cluster_config;  // JSON text handed to the plugin with the cluster's other fields
  std::string install_hint;    // what the kubeconfig says about a plugin that is not there
};
using KubernetesAuth = std::variant<std::monostate, KubernetesCertificateAuth, KubernetesTokenAuth,
                                    KubernetesExecAuth>;

// One API server and who asks it.
struct KubernetesAccess {
  std::string url;  // https://host:port
  TlsConfig tls;
  KubernetesAuth auth;  // monostate: not given
};

// Whose token is asked for.
struct KubernetesServiceAccount {
  std::string name;
  std::string name_space;
  std::vector<std::string> audiences;
};

struct KubernetesStoreConfig {
  KubernetesAccess server;  // has the Secrets
  std::string remote_namespace = "default";
  // With it, `server` is asked as this service account, whose tokens come from `home`.
  std::optional<KubernetesServiceAccount> service_account;
  KubernetesAccess home;  // empty: `server` itself, as its auth says

  // Where what is left out above comes from; both empty: from the pod, or as kubectl finds it.
  CredentialSource kubeconfig;
  std::string context;  // of the kubeconfig; empty: its current one
};

}  // namespace secretfs::providers
