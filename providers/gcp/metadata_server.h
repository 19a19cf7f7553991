#pragma once

// The metadata server of a machine, pod or function at Google: who it is, and tokens of its service
// account. Reached without a proxy; an answer without the header Metadata-Flavor: Google is
// nobody's (a captive portal, a wrong address).
//
// Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/gcp/gcp_client.h"

namespace secretfs::providers::gcp {

class MetadataServer {
 public:
  // `host` is host[:port]; empty: Google's.
  MetadataServer(std::string host, std::shared_ptr<Client> client);

  // The document at `path` below computeMetadata/v1/. NotFound when there is none;
  // FailedPrecondition when this machine has no metadata server at all.
  asio::awaitable<absl::StatusOr<SecretBytes>> Get(std::string path, MonotonicTime deadline);

  const std::string& host() const { return host_; }

 private:
  bool host_given_;
  std::string host_;
  std::shared_ptr<Client> client_;
};

}  // namespace secretfs::providers::gcp
