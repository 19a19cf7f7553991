// Tokens of a service account by the TokenRequest API: what External Secrets calls
// auth.serviceAccount. Whoever asks for them needs the right to create serviceaccounts/token.

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/kubernetes/api_client.h"
#include "providers/kubernetes/issued_authorizer.h"
#include "providers/kubernetes/kubernetes_response.h"
#include "providers/secret_json.h"

namespace secretfs::providers::kubernetes {
namespace {

constexpr std::chrono::seconds kLifetime(3600);
constexpr Duration kRequestLimit = std::chrono::seconds(15);
// At least so long a token is used, whatever this machine's clock says about its end; should it
// really have ended, the server refuses it.
constexpr Duration kShortestUse = std::chrono::seconds(60);

class ServiceAccountAuthorizer final : public IssuedAuthorizer {
 public:
  ServiceAccountAuthorizer(const KubernetesServiceAccount& config,
                           std::shared_ptr<ApiClient> issuer, asio::io_context& context,
                           const Clock& clock)
      : IssuedAuthorizer("service account's token", context, clock),
        config_(config),
        issuer_(std::move(issuer)) {}

  void Stop() override { issuer_->Stop(); }

 protected:
  asio::awaitable<absl::StatusOr<Issued>> Issue() override {
    Call call;
    call.method = "POST";
    call.path =
        Format("/api/v1/namespaces/{}/serviceaccounts/{}/token", config_.name_space, config_.name);
    call.body = Body();
    call.deadline = clock().Now() + kRequestLimit;
    const MonotonicTime asked_at = clock().Now();
    const absl::StatusOr<HttpResponse> response = co_await issuer_->Send(std::move(call));
    if (!response.ok()) co_return response.status();
    const std::string doing =
        Format("asking for a token of service account {}/{}", config_.name_space, config_.name);
    const absl::Status status = issuer_->StatusOf(*response, doing);
    if (!status.ok()) co_return Refusal(status);
    absl::StatusOr<IssuedToken> token = ParseTokenRequest(response->body.ExposeAsText());
    if (!token.ok()) co_return WithContext(token.status(), doing);
    const Duration lifetime =
        std::max<Duration>(token->expires_at - clock().WallNow(), kShortestUse);
    Issued issued;
    issued.authorization.token = std::make_shared<const SecretBytes>(std::move(token->token));
    issued.renew_at = asked_at + lifetime / 5 * 4;
    issued.expires_at = asked_at + lifetime;
    co_return issued;
  }

 private:
  SecretBytes Body() const {
    SecretJson spec = SecretJson::object();
    spec["expirationSeconds"] = int64_t{kLifetime.count()};
    SecretJson audiences = SecretJson::array();
    for (const std::string& audience : config_.audiences) {
      audiences.push_back(SecretString(audience));
    }
    spec["audiences"] = std::move(audiences);
    SecretJson request = SecretJson::object();
    request["apiVersion"] = SecretString("authentication.k8s.io/v1");
    request["kind"] = SecretString("TokenRequest");
    request["spec"] = std::move(spec);
    return DumpSecretJson(request);
  }

  // Not found and denied are not said of a secret here, but of who asks.
  static absl::Status Refusal(const absl::Status& status) {
    if (IsTransient(status)) return status;
    return absl::Status(absl::StatusCode::kUnauthenticated, status.message());
  }

  const KubernetesServiceAccount config_;
  const std::shared_ptr<ApiClient> issuer_;
};

}  // namespace

std::shared_ptr<Authorizer> MakeServiceAccountAuthorizer(const KubernetesServiceAccount& config,
                                                         std::shared_ptr<ApiClient> issuer,
                                                         asio::io_context& context,
                                                         const Clock& clock) {
  return std::make_shared<ServiceAccountAuthorizer>(config, std::move(issuer), context, clock);
}

}  // namespace secretfs::providers::kubernetes
