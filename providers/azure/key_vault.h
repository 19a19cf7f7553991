#pragma once

// The data plane of one Key Vault: puts URLs and tokens together, follows the vault's challenge
// (once a call) and turns answers into statuses. Knows no form and no version.
//
// Thread-safety: I/O thread only. One attempt a call, one more with a new token after a 401.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/azure/session.h"
#include "providers/azure/transport.h"
#include "providers/http/http_client.h"

namespace secretfs::providers::azure {

class KeyVault {
 public:
  // `address` is https://HOST[:PORT], `host` its host.
  KeyVault(std::string address, std::string host, std::shared_ptr<Transport> transport,
           std::shared_ptr<Session> session)
      : address_(std::move(address)),
        host_(std::move(host)),
        transport_(std::move(transport)),
        session_(std::move(session)) {}

  // GET of `path` ("secrets/db") with `query` beside the API's version. `doing` completes "Key
  // Vault at HOST, DOING" in messages. Failures as their codes say: NotFound, PermissionDenied …
  asio::awaitable<absl::StatusOr<SecretBytes>> Get(std::string path, std::string query,
                                                   std::string doing, MonotonicTime deadline);

  // GET of the next page that a list below `path` names; refused unless it is this vault's.
  asio::awaitable<absl::StatusOr<SecretBytes>> GetPage(std::string next_link, std::string path,
                                                       std::string doing, MonotonicTime deadline);

  const std::string& host() const { return host_; }
  const Clock& clock() const { return transport_->clock(); }
  void Stop() {
    session_->Close();
    transport_->Stop();
  }

 private:
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(std::string url, TokenBytes token,
                                                     MonotonicTime deadline);
  asio::awaitable<absl::StatusOr<SecretBytes>> GetUrl(std::string url, std::string doing,
                                                      MonotonicTime deadline);
  absl::Status StatusOf(const HttpResponse& response, std::string_view doing) const;

  const std::string address_;
  const std::string host_;
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<Session> session_;
};

// The one version of the API that is spoken: all clouds have it.
inline constexpr std::string_view kApiVersion = "7.4";

// Whether `next_link` leads on in the list at `address`/`path`: same scheme, host, port and path.
bool IsNextPage(const std::string& next_link, const std::string& address, std::string_view path);

}  // namespace secretfs::providers::azure
