#pragma once

// As much of XML as it takes to read the answers of AWS's query protocol (STS): the text of one
// element. Pure function; not for documents that anybody else writes.

#include <optional>
#include <string_view>

#include "base/secret_bytes.h"

namespace secretfs::providers::aws {

// The text of the first element called `name` (as written, without namespaces), with the five named
// entities and character numbers below 128 resolved. Nothing when there is no such element, or it
// holds anything but text.
std::optional<SecretBytes> XmlText(std::string_view document, std::string_view name);

}  // namespace secretfs::providers::aws
