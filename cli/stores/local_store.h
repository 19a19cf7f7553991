#pragma once

// How the command line handles the description of a local store. Free functions without state;
// cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/local/local_config.h"
#include "providers/provider.h"

namespace secretfs::cli {

void VisitPaths(providers::LocalStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::LocalStoreConfig& config);
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::LocalStoreConfig& config, IoThread& io, const Clock& clock);

// The files that the store may read: the store, and its key or passphrase, where they are named or
// else usual.
std::vector<std::string> FilesOf(const providers::LocalStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
