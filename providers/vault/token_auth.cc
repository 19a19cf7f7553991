// A token that somebody else made, from a file, an environment variable or the manifest.

#include <utility>

#include "base/status.h"
#include "providers/vault/authenticator.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::vault {
namespace {

class TokenAuthenticator final : public Authenticator {
 public:
  explicit TokenAuthenticator(const VaultTokenAuth& config) : token_(config.token, "token") {}

  std::string Description() const override { return token_.Description(); }
  bool MakesTokens() const override { return false; }
  bool HasNewCredential() const override { return token_.Changed(); }

  asio::awaitable<absl::StatusOr<Login>> LogIn(MonotonicTime) override {
    absl::StatusOr<SecretBytes> token = token_.Read();
    if (!token.ok()) co_return token.status();
    co_return Login{std::move(*token)};
  }

 private:
  Credential token_;
};

}  // namespace

std::unique_ptr<Authenticator> MakeTokenAuthenticator(const VaultTokenAuth& config) {
  return std::make_unique<TokenAuthenticator>(config);
}

}  // namespace secretfs::providers::vault
