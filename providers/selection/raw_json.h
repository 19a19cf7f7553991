#pragma once

// Walking over JSON as text, without copying it: parts keep the spelling, the order and the spaces
// that they were written with. For texts that ParseSecretJson has accepted; of others the walk is
// safe but means nothing. Free functions without state.

#include <functional>
#include <string_view>

#include "base/secret_bytes.h"

namespace secretfs::providers {

enum class RawKind { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

// `value` without the spaces around it.
std::string_view Trimmed(std::string_view value);

// REQUIRES: `value` is trimmed.
RawKind KindOf(std::string_view value);

// What stands between an array's or object's brackets.
std::string_view Inside(std::string_view container);

// Each element of an array, trimmed, until the function returns false.
void ForEachElement(std::string_view array, const std::function<bool(std::string_view)>& visit);
// Each name (a JSON string, with its quotes) and value of an object.
void ForEachMember(std::string_view object,
                   const std::function<bool(std::string_view, std::string_view)>& visit);

// What a JSON string says.
SecretString Unquoted(std::string_view text);

}  // namespace secretfs::providers
