#pragma once

// SecretProviderClass with `provider: azure`: the parameters of Azure's own provider for the CSI
// driver. Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"
#include "k8s/manifest/object_header.h"

namespace secretfs::k8s {

void ReadAzureClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                    Draft& draft);

}  // namespace secretfs::k8s
