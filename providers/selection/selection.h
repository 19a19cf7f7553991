#pragma once

// Selecting one value inside a fetched secret, and decoding and encoding it: what stands between a
// store's answer and the bytes of one file.
//
// `property` names a field of a structured store, or a part of the JSON value in one of four
// languages (docs/manifest.md). Free functions without state.

#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/provider.h"

namespace secretfs::providers {

enum class Encoding { kUtf8, kBase64, kHex };  // how a value is written into its file
enum class Decoding { kNone, kBase64, kBase64Url, kAuto, kHex };  // how it is read from the store

// How `property` is understood.
enum class Language {
  kPath,      // as External Secrets does: providers/selection/property_path.h
  kJmesPath,  // as AWS does: providers/selection/jmespath/expression.h
  kJsonKey,   // one name at the top of a JSON object
  kYamlKey,   // one name at the top of a YAML mapping
};

struct Selection {
  std::string property;  // empty: the whole value
  Decoding decoding = Decoding::kNone;
  Encoding encoding = Encoding::kUtf8;
  Language language = Language::kPath;
  friend bool operator==(const Selection&, const Selection&) = default;
};

// NotFound when the property does not exist (naming it, and up to five of the names that do);
// InvalidArgument when the value is not JSON but a property is wanted, or cannot be decoded.
// Content is never quoted.
absl::StatusOr<SecretBytes> Select(const Secret& secret, const Selection& selection);

}  // namespace secretfs::providers
