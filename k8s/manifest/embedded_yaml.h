#pragma once

// YAML that stands as text inside a field, as in the parameters of a SecretProviderClass. Problems
// inside are reported with their place in the whole file. Free functions without state.

#include <functional>

#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

// Parses `text` and calls `read` with its only document, which lives as long as the call. Reports
// (and does not call) when the value is no text, its YAML is wrong, or it is not one document.
void ReadEmbeddedYaml(const Value& text, const std::function<void(const Value& root)>& read);

// The same for a list: calls `read` with each item; reports an empty list.
void ReadEmbeddedList(const Value& text, const std::function<void(const Value& item)>& read);

}  // namespace secretfs::k8s
