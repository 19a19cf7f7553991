#pragma once

// Kubernetes: the Secrets of one namespace through the API server, watched, as
// docs/kubernetes-store.md describes them. A key is a Secret's name; its fields are the keys of its
// data. This header is all that the rest of the program needs; what it is made of stands in the
// namespace secretfs::providers::kubernetes.
//
// Thread-safety: as Provider's. `context`, `clock` and `scheduler` outlive the provider and
// everything it started, and `scheduler` runs on `context`.

#include <asio/io_context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/kubernetes/kubernetes_config.h"
#include "providers/provider.h"

namespace secretfs::providers {

// Contacts no server, starts no program and reads no credential yet. InvalidArgument naming the
// field that cannot work. May be called on any thread.
absl::StatusOr<std::shared_ptr<Provider>> MakeKubernetesProvider(
    const KubernetesStoreConfig& config, asio::io_context& context, const Clock& clock,
    Scheduler& scheduler);

}  // namespace secretfs::providers
