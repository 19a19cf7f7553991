#include "providers/kubernetes/authorizer.h"

#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::kubernetes {
namespace {

class CertificateAuthorizer final : public Authorizer {
 public:
  asio::awaitable<absl::StatusOr<Authorization>> Get(MonotonicTime) override {
    co_return Authorization();
  }
  void Refused(const Authorization&) override {}
};

class TokenAuthorizer final : public Authorizer {
 public:
  explicit TokenAuthorizer(CredentialSource source) : source_(std::move(source), "token") {}

  asio::awaitable<absl::StatusOr<Authorization>> Get(MonotonicTime) override {
    if (token_ == nullptr || source_.Changed()) {
      absl::StatusOr<SecretBytes> token = source_.Read();
      // While the file is being replaced, the token that was there is the best there is.
      if (!token.ok() && token_ == nullptr) co_return token.status();
      if (token.ok()) token_ = std::make_shared<const SecretBytes>(*std::move(token));
    }
    co_return Authorization{.token = token_, .certificate = nullptr};
  }

  // Whoever made the token may have made another: a file is looked at for each request, and no
  // other place can have a new one.
  void Refused(const Authorization&) override {}

 private:
  Credential source_;
  std::shared_ptr<const SecretBytes> token_;
};

}  // namespace

std::shared_ptr<Authorizer> MakeCertificateAuthorizer() {
  return std::make_shared<CertificateAuthorizer>();
}

std::shared_ptr<Authorizer> MakeTokenAuthorizer(const KubernetesTokenAuth& config) {
  return std::make_shared<TokenAuthorizer>(config.token);
}

absl::StatusOr<std::shared_ptr<Authorizer>> MakeAuthorizer(const KubernetesAccess& access,
                                                           asio::io_context& context,
                                                           const Clock& clock) {
  if (std::holds_alternative<KubernetesCertificateAuth>(access.auth)) {
    const TlsConfig& tls = access.tls;
    const bool has_certificate = !tls.client_certificate_file.empty() ||
                                 (tls.client_certificate != nullptr && tls.client_key != nullptr);
    if (!has_certificate) {
      return absl::InvalidArgumentError("certificate authentication needs a certificate and a key");
    }
    return MakeCertificateAuthorizer();
  }
  if (const auto* token = std::get_if<KubernetesTokenAuth>(&access.auth)) {
    if (token->token.empty()) {
      return absl::InvalidArgumentError(
          "token authentication needs a token: a file, an environment variable or a value");
    }
    return MakeTokenAuthorizer(*token);
  }
  if (const auto* exec = std::get_if<KubernetesExecAuth>(&access.auth)) {
    if (exec->command.empty()) {
      return absl::InvalidArgumentError("the credential plugin's command is empty");
    }
    return MakeExecAuthorizer(*exec, access, context, clock);
  }
  return absl::InvalidArgumentError(
      "no way to authenticate is given: set auth (cert, token or serviceAccount), or kubeconfig");
}

}  // namespace secretfs::providers::kubernetes
