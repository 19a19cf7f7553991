#pragma once

// Azure Key Vault: secrets, certificates and the public part of keys, as docs/azure.md describes.
// This header is all that the rest of the program needs; what it is made of stands in the namespace
// secretfs::providers::azure.
//
// Thread-safety: as Provider's. `context`, `clock` and `scheduler` outlive the provider and
// everything it started, and `scheduler` runs on `context`.

#include <asio/io_context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/azure/azure_config.h"
#include "providers/provider.h"

namespace secretfs::providers {

// Contacts no server and reads no credential yet. InvalidArgument naming the field that cannot
// work. What the environment says (AZURE_…) must be in `config` already: azure_environment.h. May
// be called on any thread.
absl::StatusOr<std::shared_ptr<Provider>> MakeAzureProvider(const AzureStoreConfig& config,
                                                            asio::io_context& context,
                                                            const Clock& clock,
                                                            Scheduler& scheduler);

}  // namespace secretfs::providers
