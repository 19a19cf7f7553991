#pragma once

// Google Secret Manager, as docs/gcp.md describes it. This header is all that the rest of the
// program needs; what it is made of stands in the namespace secretfs::providers::gcp.
//
// Thread-safety: as Provider's. `context` and `clock` outlive the provider and everything it
// started.

#include <asio/io_context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/gcp/gcp_config.h"
#include "providers/provider.h"

namespace secretfs::providers {

// Contacts no server and reads no credential yet. InvalidArgument naming the field that cannot
// work. May be called on any thread. The scheduler is not needed: tokens are replaced when they are
// used, not by the clock.
absl::StatusOr<std::shared_ptr<Provider>> MakeGcpProvider(const GcpStoreConfig& config,
                                                          asio::io_context& context,
                                                          const Clock& clock, Scheduler& scheduler);

}  // namespace secretfs::providers
