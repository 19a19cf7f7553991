#pragma once

// AWS Secrets Manager and Systems Manager Parameter Store, as docs/aws.md describes them. This
// header is all that the rest of the program needs; what it is made of stands in the namespace
// secretfs::providers::aws.
//
// Thread-safety: as Provider's. `context`, `clock` and `scheduler` outlive the provider and
// everything it started, and `scheduler` runs on `context`.

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/aws/aws_config.h"
#include "providers/provider.h"

namespace secretfs::providers {

// What AWS's tools take from outside of any configuration; tests bring their own.
struct AwsSurroundings {
  // The value of an environment variable that is no credential. Credentials are read from the
  // process's environment itself, where they need not become strings.
  std::function<std::optional<std::string>(const std::string& name)> variable;
  // Where to ask an EC2 instance's metadata; AWS_EC2_METADATA_SERVICE_ENDPOINT goes first.
  std::string metadata_endpoint = "http://169.254.169.254";
};
AwsSurroundings ProcessSurroundings();

// Contacts no server and reads no credential yet (the profile's region, if no other is known).
// InvalidArgument naming the field that cannot work. May be called on any thread.
absl::StatusOr<std::shared_ptr<Provider>> MakeAwsProvider(
    const AwsStoreConfig& config, asio::io_context& context, const Clock& clock,
    Scheduler& scheduler, AwsSurroundings surroundings = ProcessSurroundings());

}  // namespace secretfs::providers
