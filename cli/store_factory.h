#pragma once

// The only door to concrete providers: turns a store's description into a Provider, and says which
// identity asks. What is of one kind of store stands in cli/stores/. Free functions without state.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/store_url.h"
#include "cli/stores/store_description.h"
#include "providers/provider.h"
#include "providers/store_config.h"

namespace secretfs::cli {

// The store that `url` names, called as the URL is written.
absl::StatusOr<providers::StoreConfig> StoreConfigFor(const StoreUrl& url,
                                                      const Environment& environment);

// Every path of a file (store, keys, tokens, certificates) that the description names.
void VisitPaths(providers::StoreConfig& config, const PathVisitor& visit);

// The files that the store may read, absolute: what the description names, and what is usual for
// its kind where the description leaves it open. May read files that name others.
std::vector<std::string> FilesOf(const providers::StoreConfig& config,
                                 const Environment& environment);

// Relative paths of files (store, keys, tokens, certificates) made absolute, for a daemon that
// leaves its working directory.
void MakePathsAbsolute(providers::StoreConfig& config);

// Contacts no store; `io` and `clock` outlive the provider. FailedPrecondition or InvalidArgument
// when the description cannot be used.
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::StoreConfig& config, IoThread& io, const Clock& clock);

// Who asks, and whom: where the credentials come from (files, variables, roles), the address, TLS
// and headers; never what is in a credential. Equal within one process for equal stores.
std::string IdentityOf(const providers::StoreConfig& config);

}  // namespace secretfs::cli
