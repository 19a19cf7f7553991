#pragma once

// AWS Security Token Service: temporary credentials for a role. Each call is one request; whose
// credentials it is made with is the caller's business.
//
// Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/auth/sigv4.h"
#include "providers/aws/transport.h"

namespace secretfs::providers::aws {

struct RoleRequest {
  std::string role_arn;
  std::string session_name = {};  // empty: "secretfs"
  std::string external_id = {};
  std::string duration_seconds = {};  // empty: the service's default, one hour
  std::vector<std::pair<std::string, std::string>> session_tags = {};
  std::vector<std::string> transitive_tag_keys = {};
};

class Sts {
 public:
  struct Place {
    std::string endpoint, region;
  };
  // At least one; the later ones are asked when those before cannot be reached or answer 5xx.
  Sts(std::vector<Place> places, std::shared_ptr<Transport> transport);

  // PermissionDenied: the trust policy or ours does not allow it; the service's own words are in
  // the message, which holds nothing secret.
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> AssumeRole(RoleRequest role,
                                                                AwsCredentialsPtr with,
                                                                MonotonicTime deadline);
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> AssumeRoleWithWebIdentity(
      RoleRequest role, std::shared_ptr<const SecretBytes> token, MonotonicTime deadline);

 private:
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Ask(AwsRequest request, std::string doing);
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> AskAt(Place place, AwsRequest request,
                                                           std::string doing);

  const std::vector<Place> places_;
  std::shared_ptr<Transport> transport_;
};

}  // namespace secretfs::providers::aws
