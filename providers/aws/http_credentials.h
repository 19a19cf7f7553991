#pragma once

// Credentials that an agent on or beside this machine gives out over HTTP: the container endpoint
// (ECS, EKS Pod Identity) and an EC2 instance's metadata, version 2 only. Never asked through a
// proxy.
//
// Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/auth/sigv4.h"
#include "providers/credential_source.h"
#include "providers/http/http_client.h"
#include "providers/tls_config.h"

namespace secretfs::providers::aws {

class HttpCredentials {
 public:
  HttpCredentials(asio::io_context& context, const Clock& clock, const TlsConfig& tls);

  // GET of `url`, with the token in the Authorization header if there is one, read anew each time.
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> FromContainer(std::string url,
                                                                   CredentialSource token,
                                                                   MonotonicTime deadline);
  // The credentials of the role that the instance has; NotFound when it has none. Unavailable soon
  // where nothing answers, which is everywhere but on EC2.
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> FromInstance(std::string endpoint,
                                                                  MonotonicTime deadline);

  void Stop() { http_.reset(); }

 private:
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(HttpRequest request, std::string what);

  const Clock& clock_;
  std::shared_ptr<HttpClient> http_;
};

// Plain HTTP is for this machine and the two link-local addresses of ECS and EKS only: nobody else
// may see the token or give us credentials. InvalidArgument otherwise.
absl::Status CheckContainerUrl(const std::string& url);

}  // namespace secretfs::providers::aws
