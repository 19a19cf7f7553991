#pragma once

// The calls of the Kubernetes API about the Secrets of one namespace, as paths and statuses. Knows
// nothing of versions that were seen before. Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/kubernetes/api_client.h"
#include "providers/kubernetes/kubernetes_response.h"
#include "providers/provider.h"

namespace secretfs::providers::kubernetes {

// Whether `name` can be that of a namespace, a Secret or a service account (RFC 1123 names, with
// dots): it then needs no encoding in a path.
bool IsObjectName(std::string_view name);

class SecretApi {
 public:
  SecretApi(std::shared_ptr<ApiClient> client, std::string name_space)
      : client_(std::move(client)), name_space_(std::move(name_space)) {}

  asio::awaitable<absl::StatusOr<Secret>> Read(std::string name, MonotonicTime deadline);

  // Names and versions, no values. `only`: of that Secret alone. A page that has expired gives an
  // empty one that names the next, or Aborted.
  asio::awaitable<absl::StatusOr<MetadataList>> List(std::string only, std::string page,
                                                     MonotonicTime deadline);
  // All pages.
  asio::awaitable<absl::StatusOr<MetadataList>> ListAll(std::string only, MonotonicTime deadline);

  // A stream of events after `resource_version`. OutOfRange when the server does not know any more
  // what happened since.
  asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> Watch(std::string only,
                                                                     std::string resource_version);

  // Whether the credential is accepted.
  asio::awaitable<absl::Status> Check(MonotonicTime deadline);

  const ApiClient& client() const { return *client_; }
  void Stop() { client_->Stop(); }

 private:
  std::string Path(std::string_view rest) const;

  const std::shared_ptr<ApiClient> client_;
  const std::string name_space_;
};

}  // namespace secretfs::providers::kubernetes
