#pragma once

// The access token of one identity for one vault: got once for all who need it at the same time,
// replaced in the background some time before it ends, and at once when the vault refuses it or
// asks for a token of another resource.
//
// Invariant: `current_` was made for `audience_`. A call that was refused names the token it used,
// so that a refusal of an older one never costs the newer one.
//
// Thread-safety: I/O thread only; make it with std::make_shared. Coroutines that run hold it until
// they end.

#include <asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/auth/shared_task.h"
#include "providers/azure/challenge.h"
#include "providers/azure/token_source.h"
#include "providers/azure/transport.h"

namespace secretfs::providers::azure {

using TokenBytes = std::shared_ptr<const SecretBytes>;

struct SessionOptions {
  std::string vault_host;
  Audience audience;       // its parts may be empty: then the vault's challenge says them
  AzureIdentifier tenant;  // read when it is needed, if audience.tenant is empty
  bool resource_is_fixed = false;
  bool verify_challenge_resource = true;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(SessionOptions options, std::unique_ptr<TokenSource> source,
          std::shared_ptr<Transport> transport);

  // Whether a token can be asked for without having heard the vault's challenge.
  bool KnowsAudience() const;

  // The token to use now, after a login if there is none. Errors as TokenSource::Get.
  // REQUIRES: KnowsAudience().
  asio::awaitable<absl::StatusOr<TokenBytes>> Token(MonotonicTime deadline);

  // The vault answered a call with `used` otherwise than 401.
  void Accepted(const TokenBytes& used);

  // Takes over what the vault says in the WWW-Authenticate header of a 401. Unauthenticated when
  // it cannot be followed.
  absl::Status Learn(std::string header);

  // After a call with `used` was answered 401 and Learn: OK when another token is there.
  asio::awaitable<absl::Status> Replace(TokenBytes used, MonotonicTime deadline);

  void Close() { closed_ = true; }

 private:
  asio::awaitable<absl::Status> LogInOnce(MonotonicTime deadline);
  asio::awaitable<absl::Status> DoLogIn();
  asio::awaitable<void> RefreshInBackground();
  void Install(AccessToken token);
  bool Usable() const;

  const SessionOptions options_;
  std::unique_ptr<TokenSource> source_;
  std::shared_ptr<Transport> transport_;
  SharedTask login_;

  Audience audience_;
  std::string challenged_tenant_;  // for messages
  TokenBytes current_;
  bool accepted_ = false;  // current_, at least once
  MonotonicTime obtained_at_;
  MonotonicTime ends_at_;
  MonotonicTime refresh_at_;  // from then on the next call starts a refresh
  bool closed_ = false;
};

}  // namespace secretfs::providers::azure
