#pragma once

// STORE_URL and REF, the short ways of naming a store and one value in it on the command line:
//
//   local                        the store at $SECRETFS_STORE, else in the user's data directory
//   local:/path/store.sfs        the local store in that file
//   vault:MOUNT/PREFIX           everything below PREFIX; server and token as Vault's own CLI finds
//   them
//
//   local#db/password            REF: store, '#', key
//   local:/path/store.sfs#db/password
//   vault:secret/app/db#password REF: path of the secret, '#', field; without '#' all fields as
//   JSON …?version=3                  an older version, at the end or before the '#'
//
// Parsing touches neither files nor the network. Free functions without state.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/provider.h"

namespace secretfs::cli {

enum class StoreScheme { kLocal, kVault };

struct StoreUrl {
  StoreScheme scheme = StoreScheme::kLocal;
  std::string path;  // the local store's file ("" = the default one), or Vault's MOUNT/PREFIX
  friend bool operator==(const StoreUrl&, const StoreUrl&) = default;
};

struct SecretReference {
  StoreUrl store;  // vault: without a path, which is part of the key
  providers::SecretRef ref;
  std::string property;  // empty: the whole secret
};

// InvalidArgument saying what was expected, with near misses of the scheme.
absl::StatusOr<StoreUrl> ParseStoreUrl(std::string_view text);
absl::StatusOr<SecretReference> ParseSecretReference(std::string_view text);

}  // namespace secretfs::cli
