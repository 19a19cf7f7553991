#pragma once

// Reads a SecretProviderClass of the Secrets Store CSI Driver (secrets-store.csi.x-k8s.io v1 and
// v1alpha1) with the provider vault: its parameters become a store, its objects become files. Free
// functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

void ReadSecretProviderClass(const Value& document, Draft& draft);

}  // namespace secretfs::k8s
