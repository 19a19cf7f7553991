#pragma once

// The provider block of a store, in the field names of External Secrets' SecretStore.spec.provider
// and with our additions for machines without Kubernetes (credentials from files and environment
// variables, TLS files, the local store). secretfs.yaml and SecretStore share it. Free functions
// without state; no store is contacted and no credential file is opened.

#include <optional>
#include <string>
#include <vector>

#include "k8s/manifest/field_reader.h"
#include "k8s/manifest/resource_index.h"
#include "providers/store_config.h"

namespace secretfs::k8s {

using providers::ProviderConfig;

// What the block may refer to.
struct StoreContext {
  const ResourceIndex* resources = nullptr;
  // Where Secrets and ConfigMaps are looked for unless a selector names a namespace; empty:
  // anywhere.
  std::string name_space;
};

// The names of all providers that a block can have.
std::vector<std::string_view> ProviderNames();

// Reads the one of ProviderNames() that `parent` holds. REQUIRES: `parent` knows all those names.
std::optional<ProviderConfig> ReadProvider(const Fields& parent, const StoreContext& context);

// `path` as the file `manifest` means it: relative to the manifest's own folder; "~/" is $HOME.
std::string ResolvePath(const std::string& path, const std::string& manifest);

// A path field resolved like that; "" when not given.
std::string ReadPath(const Fields& fields, std::string_view name);

// A credential: {file: PATH}, {env: NAME}, or {name: SECRET, key: KEY} for a Kubernetes Secret that
// was given along. Values are never quoted in messages.
std::optional<providers::CredentialSource> ReadCredential(const Value& value,
                                                          const StoreContext& context);

}  // namespace secretfs::k8s
