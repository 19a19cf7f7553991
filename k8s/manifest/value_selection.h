#pragma once

// The words of manifests for which part of a value is wanted, how it is decoded and encoded. Free
// functions without state; what is wrong is reported and counts as the default.

#include "k8s/manifest/field_reader.h"
#include "providers/selection/selection.h"

namespace secretfs::k8s {

// None, Base64, Base64URL or Auto, as External Secrets' decodingStrategy.
providers::Decoding ReadDecodingStrategy(const Value& value);

// The same and Hex, as secretfs.yaml has it.
providers::Decoding ReadDecoding(const Value& value);

// utf-8, base64 or hex: how the value stands in the store, in the words of HashiCorp's CSI
// provider.
providers::Decoding ReadStoredEncoding(const Value& value);

// utf-8, base64 or hex: how a value is written into its file.
providers::Encoding ReadEncoding(const Value& value);

// The part that one of the fields `property`, `jmesPath`, `extractJSONKey` and `extractYAMLKey`
// names; at most one may be given. REQUIRES: `fields` knows all four.
void ReadPart(const Fields& fields, providers::Selection& selection);

// A JMESPath expression, which is checked.
void ReadJmesPath(const Value& value, providers::Selection& selection);

// The part that one of `extractJSONKey` and `extractYAMLKey` names, in the words of Google's CSI
// provider. REQUIRES: `fields` knows both.
void ReadExtractKey(const Fields& fields, providers::Selection& selection);

}  // namespace secretfs::k8s
