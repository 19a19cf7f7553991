#pragma once

// Reads kubeconfig files (https://kubernetes.io/docs/concepts/configuration/
// organize-cluster-access-kubeconfig/): the server, TLS settings and credential of one context.
// Only what that context uses has to make sense; the rest of a kubeconfig is for other programs.
// Free functions without state; files that a kubeconfig names (certificates, tokens) are not
// opened.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/kubernetes/kubernetes_config.h"

namespace secretfs::k8s {

struct KubeconfigText {
  std::string name;  // for messages; relative paths in it are relative to this file's folder
  std::shared_ptr<const SecretBytes> text;
};

struct KubeconfigContext {
  providers::KubernetesAccess access;  // its auth is never monostate
  std::string name_space;              // empty if the context names none
};

// Several texts are merged as kubectl does it: what comes first wins. `context`: its name; empty:
// the current one. InvalidArgument naming file and line.
absl::StatusOr<KubeconfigContext> ReadKubeconfig(const std::vector<KubeconfigText>& texts,
                                                 const std::string& context);

}  // namespace secretfs::k8s
