#pragma once

// The way to Google's servers that everything of one store shares: one HTTP client for what may go
// through a proxy, one for metadata servers and other servers of this machine, which must not.
// Knows no API.
//
// Thread-safety: I/O thread only. One attempt a call.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/http/http_client.h"
#include "providers/tls_config.h"

namespace secretfs::providers::gcp {

class Client {
 public:
  Client(const TlsConfig& tls, asio::io_context& context, const Clock& clock);

  // Any answer of the server; failures as HttpClient's.
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(HttpRequest request);
  // The same without a proxy, for servers of this machine and metadata servers.
  asio::awaitable<absl::StatusOr<HttpResponse>> SendDirectly(HttpRequest request);

  // Cancels the requests under way, and all later ones. Coroutines that wait for an answer hold
  // this object, so that only this, not dropping references, ends them early.
  void Stop();

  const Clock& clock() const { return clock_; }
  asio::io_context& context() { return context_; }

 private:
  asio::io_context& context_;
  const Clock& clock_;
  // Null after Stop.
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<HttpClient> direct_;
};

// An address that credentials may be sent to: https, or http on this machine (tests, tunnels).
// `what` names it in the error.
absl::Status CheckTrustedUrl(std::string_view url, std::string_view what);

// The server's own idea of the time, where the answer says it.
std::optional<WallTime> ServerTime(const HttpResponse& response);

}  // namespace secretfs::providers::gcp
