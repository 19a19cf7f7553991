#pragma once

// How this identity gets a token: one implementation per auth method, each in its own file. Keeps
// credentials, knows nothing of renewal or of who else wants the token (see session.h).
//
// Thread-safety: I/O thread only; LogIn is never called again before it has returned.

#include <asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/secret_json.h"
#include "providers/store_config.h"
#include "providers/vault/vault_client.h"

namespace secretfs::providers::vault {

struct Login {
  SecretBytes token;
  std::chrono::seconds duration{0};  // 0: not known, or it does not end
  bool renewable = false;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;

  // Completes "logging in by …" in errors.
  virtual std::string Description() const = 0;

  // A token. Unauthenticated when the server refuses the credential; FailedPrecondition when there
  // is no usable credential here; transient codes when the server cannot be asked.
  virtual asio::awaitable<absl::StatusOr<Login>> LogIn(MonotonicTime deadline) = 0;

  // True: LogIn makes a new token each time, which is given back when it is not needed any more.
  // False: it hands on a token that somebody else made.
  virtual bool MakesTokens() const { return true; }

  // True when the credential was replaced since the last LogIn, so that the token in use is
  // outdated.
  virtual bool HasNewCredential() const { return false; }
};

std::unique_ptr<Authenticator> MakeTokenAuthenticator(const VaultTokenAuth& config);
std::unique_ptr<Authenticator> MakeAppRoleAuthenticator(const VaultAppRoleAuth& config,
                                                        std::shared_ptr<Client> client);
std::unique_ptr<Authenticator> MakeJwtAuthenticator(const VaultJwtAuth& config,
                                                    std::shared_ptr<Client> client);
std::unique_ptr<Authenticator> MakeKubernetesAuthenticator(const VaultKubernetesAuth& config,
                                                           std::shared_ptr<Client> client);

// The method that `config` names; InvalidArgument for a configuration that cannot work.
absl::StatusOr<std::unique_ptr<Authenticator>> MakeAuthenticator(const VaultAuth& config,
                                                                 std::shared_ptr<Client> client);

// POST auth/PATH/login with `parameters`: what all methods that log in share.
asio::awaitable<absl::StatusOr<Login>> PostLogin(std::shared_ptr<Client> client, std::string path,
                                                 SecretBytes parameters, MonotonicTime deadline);

// Makes {"a": "…", "b": "…"} in locked memory.
void SetText(SecretJson& object, std::string_view name, std::string_view value);

}  // namespace secretfs::providers::vault
