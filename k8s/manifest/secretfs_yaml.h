#pragma once

// Reads a document of secretfs.yaml, our own format: stores, files, browse trees, mount, policy.
// docs/manifest.md describes every field. Free functions without state.

#include "k8s/manifest/draft.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

// Adds what the document holds to `draft`.
void ReadSecretfsYaml(const Value& document, Draft& draft);

}  // namespace secretfs::k8s
