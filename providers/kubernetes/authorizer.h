#pragma once

// How requests to an API server say who asks: one implementation per way, each in its own file.
// Keeps what it has got for as long as it is good.
//
// Thread-safety: I/O thread only; calls of Get may overlap. Errors: FailedPrecondition when there
// is no usable credential here, Unauthenticated when whoever gives it out refuses, transient codes
// when that cannot be asked.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/kubernetes/kubernetes_config.h"

namespace secretfs::providers::kubernetes {

class ApiClient;

struct ClientCertificate {
  std::shared_ptr<const SecretBytes> certificate;  // PEM
  std::shared_ptr<const SecretBytes> key;
};

// Both may be null: the TLS settings have a certificate then, or nobody in particular asks. Two are
// the same if their pointers are.
struct Authorization {
  std::shared_ptr<const SecretBytes> token;
  std::shared_ptr<const ClientCertificate> certificate;
  friend bool operator==(const Authorization&, const Authorization&) = default;
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;

  virtual asio::awaitable<absl::StatusOr<Authorization>> Get(MonotonicTime deadline) = 0;

  // The server has answered 401 to `refused`: a later Get does not return it if there can be
  // another.
  virtual void Refused(const Authorization& refused) = 0;

  // Ends what is under way.
  virtual void Stop() {}
};

// Nothing but what the TLS settings say.
std::shared_ptr<Authorizer> MakeCertificateAuthorizer();
// A token, read again when its file changes.
std::shared_ptr<Authorizer> MakeTokenAuthorizer(const KubernetesTokenAuth& config);
// A credential plugin, started when there is nothing or it has expired. `cluster` is told to the
// plugin if it wants to know.
std::shared_ptr<Authorizer> MakeExecAuthorizer(const KubernetesExecAuth& config,
                                               const KubernetesAccess& cluster,
                                               asio::io_context& context, const Clock& clock);
// Tokens of a service account, asked of the API server behind `issuer`.
std::shared_ptr<Authorizer> MakeServiceAccountAuthorizer(const KubernetesServiceAccount& config,
                                                         std::shared_ptr<ApiClient> issuer,
                                                         asio::io_context& context,
                                                         const Clock& clock);

// The one that `access.auth` names. InvalidArgument for a configuration that cannot work.
absl::StatusOr<std::shared_ptr<Authorizer>> MakeAuthorizer(const KubernetesAccess& access,
                                                           asio::io_context& context,
                                                           const Clock& clock);

}  // namespace secretfs::providers::kubernetes
