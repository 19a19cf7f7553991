#pragma once

// SecretProviderClass with `provider: gcp`: the parameters of Google's own provider for the CSI
// driver. Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"
#include "k8s/manifest/object_header.h"

namespace secretfs::k8s {

void ReadGcpClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                  Draft& draft);

}  // namespace secretfs::k8s
