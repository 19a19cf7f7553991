#pragma once

// How this identity gets access tokens: one implementation per kind of credential, each in its own
// file. Keeps credentials, knows nothing of who else wants the token or how long it is used (see
// session.h).
//
// Thread-safety: I/O thread only; Get is never called again before it has returned.

#include <asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/gcp/credentials_file.h"
#include "providers/gcp/gcp_client.h"
#include "providers/gcp/gcp_config.h"
#include "providers/gcp/metadata_server.h"
#include "providers/gcp/token_endpoint.h"

namespace secretfs::providers::gcp {

class TokenSource {
 public:
  virtual ~TokenSource() = default;

  // Who asks, for people: "service account app@project…".
  virtual std::string Description() const = 0;

  // A token that was not given out before, or the one that the other side keeps. Unauthenticated or
  // PermissionDenied when the credential is refused; FailedPrecondition when there is no usable
  // credential here; transient codes when nobody can be asked.
  virtual asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) = 0;

  // True when the credential was replaced since the last Get.
  virtual bool HasNewCredential() const { return false; }

  // Whom requests are charged to, as the credential says; known after a Get. "" = the project
  // asked.
  virtual std::string QuotaProject() const { return ""; }
};

std::unique_ptr<TokenSource> MakeServiceAccountSource(ServiceAccountKey key,
                                                      std::shared_ptr<Client> client);
std::unique_ptr<TokenSource> MakeUserSource(UserLogin user, std::shared_ptr<Client> client);
// The federated token alone: impersonation is a source around it.
std::unique_ptr<TokenSource> MakeExternalAccountSource(ExternalAccount account,
                                                       std::shared_ptr<Client> client);
std::unique_ptr<TokenSource> MakeMetadataSource(std::shared_ptr<MetadataServer> metadata);

// A service account's tokens, asked for with the tokens of `source`.
struct Impersonation {
  std::string url;  // …/serviceAccounts/EMAIL:generateAccessToken
  std::vector<std::string> delegates;
  std::chrono::seconds life{0};  // 0: an hour
};
std::unique_ptr<TokenSource> MakeImpersonationSource(std::unique_ptr<TokenSource> source,
                                                     Impersonation impersonation,
                                                     std::shared_ptr<Client> client);

// The source for the content of a credentials file.
std::unique_ptr<TokenSource> MakeCredentialsSource(GoogleCredentials credentials,
                                                   std::shared_ptr<Client> client);

// The way to authenticate that `config` describes. InvalidArgument for one that cannot work.
absl::StatusOr<std::unique_ptr<TokenSource>> MakeTokenSource(const GcpStoreConfig& config,
                                                             std::shared_ptr<Client> client);

// IAM's address for impersonating `email`; `server` is empty for Google's.
std::string ImpersonationUrl(const std::string& server, const std::string& email);

}  // namespace secretfs::providers::gcp
