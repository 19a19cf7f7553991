#pragma once

// How the command line handles the description of a Google Secret Manager store. Free functions
// without state; cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/gcp/gcp_config.h"
#include "providers/provider.h"

namespace secretfs::cli {

void VisitPaths(providers::GcpStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::GcpStoreConfig& config);
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::GcpStoreConfig& config, IoThread& io, const Clock& clock);

// What a description leaves open, from where Google's own tools take it:
// GOOGLE_APPLICATION_CREDENTIALS, gcloud's file in CLOUDSDK_CONFIG or ~/.config/gcloud,
// GOOGLE_CLOUD_QUOTA_PROJECT, GCE_METADATA_HOST.
providers::GcpStoreConfig WithEnvironment(providers::GcpStoreConfig config,
                                          const Environment& environment);

// The files that the store may read: those that the description and the environment name, and a
// subject token's that a credentials file names, which is read for that.
std::vector<std::string> FilesOf(const providers::GcpStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
