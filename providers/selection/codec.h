#pragma once

// Base64 and hexadecimal between locked memory and locked memory (Abseil's and OpenSSL's work
// through ordinary memory or are lax about padding). Free functions without state.

#include <optional>
#include <string_view>

#include "base/secret_bytes.h"

namespace secretfs::providers {

enum class Base64Form { kStandard, kUrl, kUrlPaddingOptional };

// Standard alphabet, with padding, in one line.
SecretBytes EncodeBase64(std::span<const std::byte> bytes);

// Lower case.
SecretBytes EncodeHex(std::span<const std::byte> bytes);

// Accepts what External Secrets accepts: RFC 4648 with padding; line breaks anywhere are skipped,
// and the unused bits of the last character are not looked at. Nothing when `text` is anything
// else.
std::optional<SecretBytes> DecodeBase64(std::string_view text, Base64Form form);

// Pairs of hexadecimal digits, upper or lower case; line breaks at the end are skipped.
std::optional<SecretBytes> DecodeHex(std::string_view text);

}  // namespace secretfs::providers
