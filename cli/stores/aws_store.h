#pragma once

// How the command line handles the description of a store in AWS. Free functions without state;
// cli/store_factory.h says what each promises.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/aws/aws_config.h"
#include "providers/provider.h"

namespace secretfs::cli {

void VisitPaths(providers::AwsStoreConfig& config, const PathVisitor& visit);
std::string IdentityOf(const providers::AwsStoreConfig& config);
absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(
    const providers::AwsStoreConfig& config, IoThread& io, const Clock& clock);

// The files that the store may read: those that the description names, and where it leaves the
// login or the region to what is found, the shared files and the tokens that these and the
// environment name.
std::vector<std::string> FilesOf(const providers::AwsStoreConfig& config,
                                 const Environment& environment);

}  // namespace secretfs::cli
