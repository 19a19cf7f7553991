#pragma once

// How the command line handles the description of an Azure Key Vault. Free functions without state;
// cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/azure/azure_config.h"
#include "providers/provider.h"

namespace secretfs::cli {

void VisitPaths(providers::AzureStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::AzureStoreConfig& config);
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::AzureStoreConfig& config, IoThread& io, const Clock& clock);

// The files that the store may read: those that the description names, and the environment where it
// is silent.
std::vector<std::string> FilesOf(const providers::AzureStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
