#pragma once

// SecretProviderClass with `provider: aws`: the parameters of AWS's own provider for the CSI driver
// (reference: its README). Objects of both kinds may stand in one class: each kind becomes a store.
// Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"
#include "k8s/manifest/object_header.h"

namespace secretfs::k8s {

void ReadAwsClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                  Draft& draft);

}  // namespace secretfs::k8s
