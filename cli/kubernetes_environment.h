#pragma once

// Fills in what the description of a Kubernetes store leaves out, from where kubectl and programs
// in pods find it: the kubeconfig that the store names; else, in a pod, KUBERNETES_SERVICE_HOST and
// the pod's own service account; else $KUBECONFIG or ~/.kube/config. Free functions without state.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/environment.h"
#include "providers/kubernetes/kubernetes_config.h"

namespace secretfs::cli {

inline constexpr char kServiceAccountFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

// What MakeKubernetesProvider takes. Reads kubeconfig files, if they are needed. `account_folder`:
// where a pod has its token and the cluster's certificate. FailedPrecondition when what is missing
// is nowhere; InvalidArgument when a credential would go to a server that it was not made for.
absl::StatusOr<providers::KubernetesStoreConfig> CompleteKubernetesConfig(
    providers::KubernetesStoreConfig config, const Environment& environment,
    const std::string& account_folder = kServiceAccountFolder);

// The kubeconfig files that kubectl would read; those that do not exist are left out.
std::vector<std::string> KubeconfigFiles(const Environment& environment);

// The files that CompleteKubernetesConfig reads or names for `config`: none where nothing is left
// out, else those of the first place that has something.
std::vector<std::string> FilesOfHome(const providers::KubernetesStoreConfig& config,
                                     const Environment& environment,
                                     const std::string& account_folder = kServiceAccountFolder);

}  // namespace secretfs::cli
