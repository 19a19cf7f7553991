#pragma once

// The words for decodings and encodings in manifests. Free functions without state; an unknown word
// is reported and counts as the default.

#include "k8s/manifest/field_reader.h"
#include "providers/selection/selection.h"

namespace secretfs::k8s {

// None, Base64, Base64URL or Auto, as External Secrets' decodingStrategy.
providers::Decoding ReadDecoding(const Value& value);

// utf-8 or base64: how the value stands in the store, in the words of HashiCorp's CSI provider. Hex
// is refused as not built in.
providers::Decoding ReadStoredEncoding(const Value& value);

// utf-8, base64 or hex: how a value is written into its file.
providers::Encoding ReadEncoding(const Value& value);

}  // namespace secretfs::k8s
