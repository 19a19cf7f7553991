#pragma once

// HashiCorp Vault: secrets of key-value engines (versions 1 and 2) and of any other engine that a
// GET reads, as docs/vault.md describes. This header is all that the rest of the program needs;
// what it is made of stands in the namespace secretfs::providers::vault.
//
// Thread-safety: as Provider's. `context`, `clock` and `scheduler` outlive the provider and
// everything it started, and `scheduler` runs on `context`.

#include <asio/io_context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/provider.h"
#include "providers/store_config.h"

namespace secretfs::providers {

// Contacts no server and reads no credential yet. InvalidArgument naming the field that cannot
// work. May be called on any thread.
absl::StatusOr<std::shared_ptr<Provider>> MakeVaultProvider(const VaultStoreConfig& config,
                                                            asio::io_context& context,
                                                            const Clock& clock,
                                                            Scheduler& scheduler);

}  // namespace secretfs::providers
