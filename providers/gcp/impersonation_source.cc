// Acting as a service account: IAM gives out its tokens to who may create them.

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/gcp_response.h"
#include "providers/gcp/token_source.h"
#include "providers/http/http_status.h"
#include "providers/http/url.h"
#include "providers/secret_json.h"

namespace secretfs::providers::gcp {
namespace {

constexpr std::chrono::seconds kDefaultLife = std::chrono::hours(1);
constexpr std::chrono::seconds kShortestLife = std::chrono::minutes(10);
constexpr size_t kImpersonationAnswerLimit = 256 << 10;

SecretString Text(std::string_view text) { return SecretString(text); }

class ImpersonationSource final : public TokenSource {
 public:
  ImpersonationSource(std::unique_ptr<TokenSource> source, Impersonation impersonation,
                      std::shared_ptr<Client> client)
      : source_(std::move(source)),
        impersonation_(std::move(impersonation)),
        life_(impersonation_.life.count() == 0 ? kDefaultLife
                                               : std::max(impersonation_.life, kShortestLife)),
        client_(std::move(client)) {}

  std::string Description() const override {
    return Format("{}, asked for by {}", Target(), source_->Description());
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    const absl::StatusOr<AccessToken> own = co_await source_->Get(deadline);
    if (!own.ok()) co_return own.status();
    HttpRequest request;
    request.method = "POST";
    request.url = impersonation_.url;
    request.headers.emplace_back("Content-Type", SecretBytes::CopyOf("application/json"));
    request.headers.emplace_back("Authorization", BearerAuthorization(own->token));
    request.body = Body();
    request.deadline = deadline;
    request.body_limit = kImpersonationAnswerLimit;
    const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(request));
    if (!response.ok()) co_return WithContext(response.status(), "asking for a token");
    const WallTime now = client_->clock().WallNow();
    const std::string what = Format("{}, asking for a token", UrlForMessages(impersonation_.url));
    const absl::Status status = HttpStatus(*response, what, now);
    const std::string_view body = response->body.ExposeAsText();
    if (!status.ok()) co_return Refusal(status, body);
    absl::StatusOr<AccessToken> token =
        ParseImpersonationGrant(body, ServerTime(*response).value_or(now));
    if (!token.ok()) co_return WithContext(token.status(), what);
    token->life = std::min<Duration>(token->life, life_);
    co_return token;
  }

  bool HasNewCredential() const override { return source_->HasNewCredential(); }
  std::string QuotaProject() const override { return source_->QuotaProject(); }

 private:
  // "service account app@project…"
  std::string Target() const {
    const size_t begin = impersonation_.url.rfind('/') + 1;
    const size_t end = impersonation_.url.find(':', begin);
    return Format("service account {}", impersonation_.url.substr(begin, end - begin));
  }

  SecretBytes Body() const {
    SecretJson body = SecretJson::object();
    body["scope"] = SecretJson::array();
    body["scope"].push_back(Text(kScope));
    body["lifetime"] = Text(Format("{}s", life_.count()));
    if (!impersonation_.delegates.empty()) {
      body["delegates"] = SecretJson::array();
      for (const std::string& name : impersonation_.delegates) {
        // Files may have the short form, which the API does not take.
        const bool whole = name.starts_with("projects/");
        body["delegates"].push_back(
            Text(whole ? name : Format("projects/-/serviceAccounts/{}", name)));
      }
    }
    return DumpSecretJson(body);
  }

  absl::Status Refusal(const absl::Status& status, std::string_view body) const {
    if (IsTransient(status)) return status;
    const std::optional<ApiError> error = ParseApiError(body);
    if (!error.has_value()) {
      return absl::UnavailableError(
          Format("{}, with something that is not IAM's answer", MessageOf(status)));
    }
    std::string message(MessageOf(status));
    if (!error->reason.empty()) message += Format(" {}", error->reason);
    if (absl::IsPermissionDenied(status) || absl::IsNotFound(status)) {
      return absl::PermissionDeniedError(
          Format("{}: the caller needs roles/iam.serviceAccountTokenCreator (or, with a federated "
                 "token, roles/iam.workloadIdentityUser) on {}",
                 message, Target()));
    }
    return absl::Status(status.code(), message);
  }

  std::unique_ptr<TokenSource> source_;
  const Impersonation impersonation_;
  const std::chrono::seconds life_;
  std::shared_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<TokenSource> MakeImpersonationSource(std::unique_ptr<TokenSource> source,
                                                     Impersonation impersonation,
                                                     std::shared_ptr<Client> client) {
  return std::make_unique<ImpersonationSource>(std::move(source), std::move(impersonation),
                                               std::move(client));
}

std::string ImpersonationUrl(const std::string& server, const std::string& email) {
  return Format("{}/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                server.empty() ? "https://iamcredentials.googleapis.com" : server, email);
}

}  // namespace secretfs::providers::gcp
