#pragma once

// How the command line handles the description of a Vault store. Free functions without state;
// cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/provider.h"
#include "providers/vault/vault_config.h"

namespace secretfs::cli {

void VisitPaths(providers::VaultStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::VaultStoreConfig& config);
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::VaultStoreConfig& config, IoThread& io, const Clock& clock);

// The files that the store may read: those that the description names, and the pod's token where
// the login is by that.
std::vector<std::string> FilesOf(const providers::VaultStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
