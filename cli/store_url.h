#pragma once

// STORE_URL and REF, the short ways of naming a store and one value in it on the command line:
//
//   local                        the store at $SECRETFS_STORE, else in the user's data directory
//   local:/path/store.sfs        the local store in that file
//   kubernetes:NAMESPACE         all Secrets of a namespace; server and credential as kubectl finds
//   them, or the pod's own
//   aws-secretsmanager:PREFIX    secrets, or parameters of Systems Manager, whose names begin with
//   aws-parameterstore:PREFIX    PREFIX; region and credentials as AWS's own CLI finds them
//   azure:VAULT                  the secrets of an Azure Key Vault, by its name or host;
//   azure:VAULT/cert, …/key      its certificates, the public part of its keys; identity as Azure's
//                                SDKs find it in the environment
//   vault:MOUNT/PREFIX           everything below PREFIX; server and token as Vault's own CLI finds
//                                them
//
//   local#db/password            REF: store, '#', key
//   local:/path/store.sfs#db/password
//   kubernetes:NAMESPACE/NAME#KEY  REF: a Secret, '#', key of its data
//   aws-secretsmanager:app/db#password  REF: name or ARN of the secret, '#', part of its JSON
//   azure:VAULT/NAME#password    REF: name (or cert/NAME, key/NAME), '#', part of its JSON
//   gcp:PROJECT/NAME#password    REF: name of the secret, '#', part of its JSON
//   vault:secret/app/db#password REF: path of the secret, '#', field; without '#' all fields as
//   JSON …?version=3                  an older version, at the end or before the '#'
//
// Parsing touches neither files nor the network. Free functions without state.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/provider.h"

namespace secretfs::cli {

enum class StoreScheme {
  kLocal,
  kVault,
  kKubernetes,
  kAwsSecretsManager,
  kAwsParameterStore,
  kAzure,
  kGcp
};

struct StoreUrl {
  StoreScheme scheme = StoreScheme::kLocal;
  // The local store's file ("" = the default one), Vault's MOUNT/PREFIX, a Kubernetes namespace,
  // the beginning of names in AWS or of resource names at Google, or a Key Vault's name with what
  // is listed in it.
  std::string path;
  friend bool operator==(const StoreUrl&, const StoreUrl&) = default;
};

struct SecretReference {
  StoreUrl store;  // vault: without a path, which is part of the key
  providers::SecretRef ref;
  std::string property;  // empty: the whole secret
};

// True for the stores whose URL names a prefix, which a reference has as the beginning of its key.
bool HasPrefix(StoreScheme scheme);

// What a mount of `url` shows: the whole path of stores with a prefix, what follows a Key Vault's
// name, "" for others.
std::string PrefixOf(const StoreUrl& url);

// InvalidArgument saying what was expected, with near misses of the scheme.
absl::StatusOr<StoreUrl> ParseStoreUrl(std::string_view text);
absl::StatusOr<SecretReference> ParseSecretReference(std::string_view text);

}  // namespace secretfs::cli
