#pragma once

// A version for values whose store has none: a digest of the content under a random key, made by
// this process or kept for it and the servers after it. Equal content has equal versions under one
// key; because versions are shown to people (status, extended attributes), the key keeps a short
// password from being guessed from them. Safe to use from any thread.

#include <cstddef>
#include <span>
#include <string>

#include "base/kept_values.h"

namespace secretfs::providers {

std::string ContentVersion(std::span<const std::byte> content);

// From now on the key is the one in `kept`; it is put there if there is none. Before the first
// provider is made: versions under another key mean nothing.
void UseKeptContentVersionKey(KeptValues& kept);

// SHA-256 in hexadecimal, without a key: tells apart what stays in memory, and is not to be shown.
std::string ContentDigest(std::span<const std::byte> content);

}  // namespace secretfs::providers
