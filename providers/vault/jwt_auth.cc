// The JWT and Kubernetes auth methods: a role and a signed token, which is read again at each login
// because whoever made it (kubelet, CI) replaces it before it expires.

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/vault/authenticator.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::vault {
namespace {

constexpr std::string_view kServiceAccountToken =
    "/var/run/secrets/kubernetes.io/serviceaccount/token";

class JwtAuthenticator final : public Authenticator {
 public:
  JwtAuthenticator(std::string method, std::string path, std::string role, CredentialSource jwt,
                   std::shared_ptr<Client> client)
      : method_(std::move(method)),
        path_(std::move(path)),
        role_(std::move(role)),
        jwt_(std::move(jwt), "JWT"),
        client_(std::move(client)) {}

  std::string Description() const override {
    return Format("{} at auth/{} as role '{}' with the {}", method_, path_, role_,
                  jwt_.Description());
  }

  asio::awaitable<absl::StatusOr<Login>> LogIn(MonotonicTime deadline) override {
    const absl::StatusOr<SecretBytes> jwt = jwt_.Read();
    if (!jwt.ok()) co_return jwt.status();
    SecretJson parameters = SecretJson::object();
    SetText(parameters, "jwt", jwt->ExposeAsText());
    if (!role_.empty()) SetText(parameters, "role", role_);
    SecretBytes body = DumpSecretJson(parameters);
    co_return co_await PostLogin(client_, path_, std::move(body), deadline);
  }

 private:
  std::string method_;
  std::string path_;
  std::string role_;
  Credential jwt_;
  std::shared_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<Authenticator> MakeJwtAuthenticator(const VaultJwtAuth& config,
                                                    std::shared_ptr<Client> client) {
  return std::make_unique<JwtAuthenticator>("JWT", config.path, config.role, config.jwt,
                                            std::move(client));
}

std::unique_ptr<Authenticator> MakeKubernetesAuthenticator(const VaultKubernetesAuth& config,
                                                           std::shared_ptr<Client> client) {
  CredentialSource jwt = config.jwt;
  if (jwt.empty()) jwt.file = kServiceAccountToken;
  return std::make_unique<JwtAuthenticator>("Kubernetes", config.mount_path, config.role,
                                            std::move(jwt), std::move(client));
}

}  // namespace secretfs::providers::vault
