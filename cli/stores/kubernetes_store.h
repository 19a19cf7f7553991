#pragma once

// How the command line handles the description of a store of Kubernetes Secrets. Free functions
// without state; cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/kubernetes/kubernetes_config.h"
#include "providers/provider.h"

namespace secretfs::cli {

void VisitPaths(providers::KubernetesStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::KubernetesStoreConfig& config);
// Reads the kubeconfig, if the description needs one.
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::KubernetesStoreConfig& config, IoThread& io, const Clock& clock);

// The files that the store may read: those that the description names, and where it leaves the
// cluster or the login open, the kubeconfig files or the pod's service account, with what a
// kubeconfig names.
std::vector<std::string> FilesOf(const providers::KubernetesStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
