#pragma once

// Systems Manager Parameter Store in one region: GetParameters of up to ten names, decrypted, and
// GetParametersByPath for names, whose values are neither decrypted nor kept.
//
// Thread-safety: I/O thread only.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "providers/aws/aws_response.h"
#include "providers/aws/backend.h"
#include "providers/aws/region_client.h"

namespace secretfs::providers::aws {

class ParameterStore final : public Backend, public std::enable_shared_from_this<ParameterStore> {
 public:
  static constexpr size_t kBatchSize = 10;

  explicit ParameterStore(std::shared_ptr<RegionClient> client) : client_(std::move(client)) {}

  asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                MonotonicTime deadline) override;
  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                 MonotonicTime deadline) override;
  asio::awaitable<absl::Status> Probe(MonotonicTime deadline) override;

 private:
  using Result = absl::StatusOr<SecretPtr>;
  using Results = std::vector<Result>;

  asio::awaitable<Result> FetchOne(SecretRef ref, MonotonicTime deadline);
  // One GetParameters for all; its failure is everybody's.
  asio::awaitable<absl::StatusOr<Results>> Get(std::vector<std::string> names,
                                               MonotonicTime deadline);

  std::shared_ptr<RegionClient> client_;
  std::set<std::string, std::less<>> slashed_;  // names.h
};

// What GetParameters calls this: name or ARN, then ":VERSION" or ":LABEL". A name with slashes in
// it begins with one.
std::string ParameterName(const SecretRef& ref);

}  // namespace secretfs::providers::aws
