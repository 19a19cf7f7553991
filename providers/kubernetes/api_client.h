#pragma once

// The Kubernetes API of one server as one user: puts URL, token and TLS settings together, replaces
// a credential that the server refuses, and turns answers into statuses that say address and what
// was asked. Knows nothing of Secrets.
//
// Thread-safety: I/O thread only. One attempt a call, and one more with a new credential after a
// 401.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/http/http_client.h"
#include "providers/kubernetes/authorizer.h"
#include "providers/kubernetes/kubernetes_config.h"

namespace secretfs::providers::kubernetes {

// A Secret's data is at most 1 MiB, a third more in base64; and its annotations may hold all of it
// once more (kubectl apply).
inline constexpr size_t kSecretAnswerLimit = size_t{4} << 20;
inline constexpr size_t kListAnswerLimit = size_t{32} << 20;
inline constexpr size_t kOtherAnswerLimit = size_t{1} << 20;

struct Call {
  std::string method = "GET";
  std::string path;  // with its query
  std::string accept = "application/json";
  SecretBytes body;
  MonotonicTime deadline = MonotonicTime::max();
  size_t answer_limit = kOtherAnswerLimit;
};

class ApiClient : public std::enable_shared_from_this<ApiClient> {
 public:
  // InvalidArgument for an address that cannot be used.
  static absl::StatusOr<std::shared_ptr<ApiClient>> Make(std::string url, TlsConfig tls,
                                                         std::shared_ptr<Authorizer> authorizer,
                                                         asio::io_context& context,
                                                         const Clock& clock);

  // Any answer of the server; failures as HttpClient's, in the context of the address, and as the
  // authorizer's.
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(Call call);
  // The same for an answer that comes piece by piece.
  asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> Stream(Call call,
                                                                      HttpStreamOptions options);

  // Cancels the calls under way, and all later ones.
  void Stop();

  // OK for 2xx. `doing` completes the sentence "Kubernetes at ADDRESS, DOING". The API's own
  // message is quoted: one for a failure holds no secret.
  absl::Status StatusOf(const HttpResponse& response, std::string_view doing) const;

  const std::string& address() const { return address_; }
  const Clock& clock() const { return clock_; }

 private:
  // Client certificates may change, but not in an HttpClient: there is one for each. One that has
  // been replaced stays until its last call is over.
  struct Connection {
    std::shared_ptr<const ClientCertificate> certificate;
    std::unique_ptr<HttpClient> http;
    size_t calls = 0;
  };
  class InUse;

  ApiClient(std::string address, TlsConfig tls, std::shared_ptr<Authorizer> authorizer,
            asio::io_context& context, const Clock& clock);
  Connection& ConnectionFor(const Authorization& authorization);
  HttpRequest RequestOf(const Call& call, const Authorization& authorization) const;
  asio::awaitable<absl::StatusOr<HttpResponse>> SendOnce(std::shared_ptr<ApiClient> self,
                                                         const Call* call,
                                                         Authorization authorization);
  asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> StreamOnce(
      std::shared_ptr<ApiClient> self, const Call* call, HttpStreamOptions options,
      Authorization authorization);
  // The credential to try after `refused`; the same one when there is no other.
  asio::awaitable<absl::StatusOr<Authorization>> Renewed(Authorization refused,
                                                         MonotonicTime deadline);

  const std::string address_;
  const TlsConfig tls_;
  asio::io_context& context_;
  const Clock& clock_;
  const std::shared_ptr<Authorizer> authorizer_;
  std::list<Connection> connections_;  // the one in use first
  bool stopped_ = false;
};

}  // namespace secretfs::providers::kubernetes
