#pragma once

// AWS Secrets Manager in one region. Newest versions that are asked for together cost one
// BatchGetSecretValue; everything else a GetSecretValue each. A secret that is asked for again
// alone is looked at with DescribeSecret first, which neither decrypts nor sends the value, and
// read only if it changed; at least every ten minutes it is read whole, so that a withdrawn
// permission shows.
//
// Thread-safety: I/O thread only.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "providers/aws/aws_response.h"
#include "providers/aws/backend.h"
#include "providers/aws/region_client.h"

namespace secretfs::providers::aws {

class SecretsManager final : public Backend, public std::enable_shared_from_this<SecretsManager> {
 public:
  static constexpr size_t kBatchSize = 20;

  explicit SecretsManager(std::shared_ptr<RegionClient> client) : client_(std::move(client)) {}

  asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                MonotonicTime deadline) override;
  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                 MonotonicTime deadline) override;
  asio::awaitable<absl::Status> Probe(MonotonicTime deadline) override;

 private:
  using Result = absl::StatusOr<SecretPtr>;
  using Results = std::vector<Result>;

  // By id; what is not in it is to be asked for alone.
  using BatchResults = std::map<std::string, Result>;
  asio::awaitable<BatchResults> FetchBatch(std::vector<std::string> ids, MonotonicTime deadline);
  asio::awaitable<Result> FetchOne(SecretRef ref, MonotonicTime deadline);
  asio::awaitable<Result> Get(std::string id, std::string version, MonotonicTime deadline);
  // The value that is known already if it is still the one; null if it has to be read.
  asio::awaitable<Result> Check(SecretRef ref, MonotonicTime deadline);
  // `key`, or with a slash in front where listings showed such names (names.h).
  std::string LikelyId(const std::string& key) const;
  void Remember(const SecretRef& ref, const SecretPtr& secret);
  MonotonicTime Now() const { return client_->transport().clock().Now(); }

  struct Known {
    std::weak_ptr<const Secret> secret;  // as long as somebody uses it
    MonotonicTime read_at;
  };

  std::shared_ptr<RegionClient> client_;
  std::map<SecretRef, Known> known_;
  std::set<std::string, std::less<>> slashed_;  // names.h
  // Not allowed: asked for again only then.
  MonotonicTime batch_not_before_;
  MonotonicTime describe_not_before_;
};

}  // namespace secretfs::providers::aws
