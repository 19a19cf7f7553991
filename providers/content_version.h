#pragma once

// A version for values whose store has none: a digest of the content under a key that this process
// made at random. Equal content has equal versions within one process; because versions are shown
// to people (status, extended attributes), the key keeps a short password from being guessed from
// them. Safe to use from any thread.

#include <cstddef>
#include <span>
#include <string>

namespace secretfs::providers {

std::string ContentVersion(std::span<const std::byte> content);

}  // namespace secretfs::providers
