#pragma once

// How this identity gets an access token: one implementation a kind of identity, each in its own
// file. Keeps credentials, knows nothing of who else wants the token or how long one is used (see
// session.h).
//
// Thread-safety: I/O thread only; Get is never called again before it has returned.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/azure/azure_config.h"
#include "providers/azure/azure_response.h"
#include "providers/azure/transport.h"

namespace secretfs::providers::azure {

// What a token is for.
struct Audience {
  std::string resource;  // https://vault.azure.net
  std::string tenant;    // empty for managed identities
  friend bool operator==(const Audience&, const Audience&) = default;
};

class TokenSource {
 public:
  virtual ~TokenSource() = default;

  // Completes "no token by …" in errors.
  virtual std::string Description() const = 0;

  // Unauthenticated when the credential is refused; FailedPrecondition when there is no usable one
  // here; transient codes when the service cannot be asked.
  virtual asio::awaitable<absl::StatusOr<AccessToken>> Get(Audience audience,
                                                           MonotonicTime deadline) = 0;

  // False: the tenant of the audience means nothing to it.
  virtual bool NeedsTenant() const { return true; }
  // True when the credential was replaced since the last Get.
  virtual bool HasNewCredential() const { return false; }
};

// Service principals and workload identities, by Entra's token endpoint at `authority_host`.
std::unique_ptr<TokenSource> MakeClientSecretSource(const AzureClientSecretAuth& config,
                                                    std::string authority_host,
                                                    std::shared_ptr<Transport> transport);
std::unique_ptr<TokenSource> MakeClientCertificateSource(const AzureClientCertificateAuth& config,
                                                         std::string authority_host,
                                                         std::shared_ptr<Transport> transport);
std::unique_ptr<TokenSource> MakeWorkloadIdentitySource(const AzureWorkloadIdentityAuth& config,
                                                        std::string authority_host,
                                                        std::shared_ptr<Transport> transport);

// By the metadata service of the machine, or App Service's if `config` has its endpoint.
// `transport` uses no proxy.
std::unique_ptr<TokenSource> MakeManagedIdentitySource(const AzureManagedIdentityAuth& auth,
                                                       const AzureStoreConfig& config,
                                                       std::shared_ptr<Transport> transport);

}  // namespace secretfs::providers::azure
