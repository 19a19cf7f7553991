#pragma once

// Reads an ExternalSecret (external-secrets.io v1 and v1beta1): data becomes files, dataFrom
// becomes expansions, refreshInterval the time to live. What only makes sense for the Kubernetes
// Secret that the operator would write is accepted; what would change a file's content and cannot
// be done here is refused. Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

void ReadExternalSecret(const Value& document, Draft& draft);

}  // namespace secretfs::k8s
