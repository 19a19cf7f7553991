#pragma once

// The form in which the cache keeps entries and listings for the next server (base/kept_values.h),
// and the names under which it does. Binary, of this machine and this boot only: numbers as they
// lie in memory, everything else with its length before it. Free functions without state.
//
// Parsing believes nothing: what is not exactly a form of this version, or holds times that this
// process could not have written, is no value.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"
#include "cache/entry.h"
#include "cache/freshness.h"
#include "providers/provider.h"

namespace secretfs::cache {

// All names of the cache begin so.
inline constexpr std::string_view kKeptPrefix = "cache/";
inline constexpr std::string_view kKeptSecretPrefix = "cache/secret/";
inline constexpr std::string_view kKeptListingPrefix = "cache/listing/";
// Different for different arguments; no secret in it.
std::string KeptSecretName(const StoreSettings& store, const providers::SecretRef& ref);
std::string KeptListingName(const StoreSettings& store, std::string_view prefix);

// REQUIRES: entry.secret.
SecretBytes WriteKeptEntry(const SavedEntry& entry);
std::optional<SavedEntry> ReadKeptEntry(std::span<const std::byte> bytes, MonotonicTime now);

struct SavedListing {
  Freshness::State freshness;
  std::shared_ptr<const std::vector<providers::ListEntry>> entries;
};
// REQUIRES: listing.entries.
SecretBytes WriteKeptListing(const SavedListing& listing);
std::optional<SavedListing> ReadKeptListing(std::span<const std::byte> bytes, MonotonicTime now);

}  // namespace secretfs::cache
