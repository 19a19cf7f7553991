#pragma once

// Vault's HTTP API at one address: puts URL, namespace, token and configured headers together, and
// turns answers into statuses that say address and path. Knows no login and no engine.
//
// Thread-safety: I/O thread only. One attempt a call.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/http/http_client.h"
#include "providers/secret_json.h"
#include "providers/store_config.h"

namespace secretfs::providers::vault {

using TokenBytes = std::shared_ptr<const SecretBytes>;

// A value of up to 1 MiB in its JSON form, escapes included.
inline constexpr size_t kSecretAnswerLimit = size_t{2} << 20;
// 100,000 names and more.
inline constexpr size_t kListAnswerLimit = size_t{16} << 20;
inline constexpr size_t kOtherAnswerLimit = size_t{1} << 20;

struct Call {
  std::string method = "GET";
  std::string path;   // below /v1/, percent-encoded
  std::string query;  // without '?'
  TokenBytes token;   // null: none
  SecretBytes body;
  MonotonicTime deadline = MonotonicTime::max();
  size_t answer_limit = kOtherAnswerLimit;
};

class Client {
 public:
  // InvalidArgument for an address or headers that cannot be used.
  static absl::StatusOr<std::shared_ptr<Client>> Make(const VaultStoreConfig& config,
                                                      asio::io_context& context,
                                                      const Clock& clock);

  // Any answer of the server; failures as HttpClient's, in the context of the address.
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(Call call);

  // Cancels the calls under way, and all later ones. Coroutines that wait for an answer hold this
  // object, so that only this, not dropping references, ends them early.
  void Stop() { http_.reset(); }

  // OK for 2xx. `doing` completes the sentence "Vault at ADDRESS, DOING". Nothing of the body is
  // quoted but that the server is sealed.
  absl::Status StatusOf(const HttpResponse& response, std::string_view doing) const;
  // The same for answers that cannot hold a secret: Vault's error texts are quoted.
  absl::Status StatusWithReason(const HttpResponse& response, std::string_view doing) const;

  const std::string& address() const { return address_; }
  const Clock& clock() const { return clock_; }
  asio::io_context& context() { return context_; }

 private:
  Client(std::string address, const VaultStoreConfig& config, asio::io_context& context,
         const Clock& clock);

  std::string address_;
  std::string name_space_;
  std::map<std::string, std::string> headers_;
  asio::io_context& context_;
  const Clock& clock_;
  std::unique_ptr<HttpClient> http_;  // null after Stop
};

// Whether `response` is the refusal of a token that the server does not know (any more), as opposed
// to one that may not do this.
bool SaysInvalidToken(const HttpResponse& response);

}  // namespace secretfs::providers::vault
