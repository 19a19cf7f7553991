#include "providers/azure/entra.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"
#include "providers/http/http_status.h"

namespace secretfs::providers::azure {
namespace {

constexpr size_t kTokenAnswerLimit = size_t{256} << 10;

// Entra's numbers for the mistakes that people make, in own words: its own texts may repeat what
// was sent.
struct LoginExplanation {
  int64_t number;
  std::string_view text;
};
constexpr std::array<LoginExplanation, 17> kLoginExplanations{{
    {700016, "the tenant has no application with this client id"},
    {700211, "no federated credential of the application has the token's issuer"},
    {700212, "no federated credential of the application has the token's audience"},
    {700213, "no federated credential of the application has the token's subject"},
    {70021, "no federated credential of the application fits the token"},
    {700024, "the assertion is not valid at this time; is the clock right, the token file fresh?"},
    {700027, "the certificate is not registered with the application, or signed wrongly"},
    {700030, "the certificate is not registered with the application"},
    {7000112, "the application is disabled"},
    {7000215, "the client secret is wrong (its value is wanted, not its id)"},
    {7000216, "a client secret or assertion is missing"},
    {7000218, "a client secret or assertion is missing"},
    {7000222, "the client secret has expired"},
    {7000229, "the application has no service principal in the tenant"},
    {90002, "there is no such tenant in this cloud"},
    {900023, "the tenant's name is none"},
    {500011, "the tenant knows no such resource; is it a vault of this cloud?"},
}};

std::string_view ExplainLogin(int64_t number) {
  for (const LoginExplanation& explanation : kLoginExplanations) {
    if (explanation.number == number) return explanation.text;
  }
  return "";
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

void LoginForm::Add(std::string_view name, std::string_view value) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  // Larger than any credential (see auth/credential.h), so Append does not fail.
  if (builder_.size() > 0) (void)builder_.Append("&");
  (void)builder_.Append(name);
  (void)builder_.Append("=");
  for (const char c : value) {
    if (IsUnreserved(c)) {
      (void)builder_.Append(std::string_view(&c, 1));
    } else {
      const auto byte = static_cast<unsigned char>(c);
      const std::array<char, 3> escaped{'%', kDigits[byte >> 4], kDigits[byte & 15]};
      (void)builder_.Append(std::string_view(escaped.data(), escaped.size()));
    }
  }
}

std::string Entra::TokenUrl(std::string_view tenant) const {
  return Format("{}/{}/oauth2/v2.0/token", authority_host_, tenant);
}

asio::awaitable<absl::StatusOr<AccessToken>> Entra::GetToken(Audience audience, LoginForm form,
                                                             MonotonicTime deadline) {
  form.Add("grant_type", "client_credentials");
  form.Add("scope", audience.resource + "/.default");
  HttpRequest request;
  request.method = "POST";
  request.url = TokenUrl(audience.tenant);
  request.headers.emplace_back("Content-Type",
                               SecretBytes::CopyOf("application/x-www-form-urlencoded"));
  request.headers.emplace_back("Accept", SecretBytes::CopyOf("application/json"));
  request.body = form.Finish();
  request.deadline = deadline;
  request.body_limit = kTokenAnswerLimit;
  const absl::StatusOr<HttpResponse> response = co_await transport_->Send(std::move(request));
  if (!response.ok()) co_return WithContext(response.status(), "Entra");
  if (response->status != 200) co_return Refusal(*response, audience);
  absl::StatusOr<AccessToken> token =
      ParseAccessToken(response->body.ExposeAsText(), clock().WallNow());
  if (!token.ok()) co_return WithContext(token.status(), Format("Entra at {}", authority_host_));
  co_return token;
}

absl::Status Entra::Refusal(const HttpResponse& response, const Audience& audience) const {
  const std::string what =
      Format("Entra at {}, asking for a token in the tenant {}", authority_host_, audience.tenant);
  const absl::Status status = HttpStatus(response, what, clock().WallNow());
  const LoginError error = ParseLoginError(response.body.ExposeAsText());
  std::string reason = error.error;
  if (error.number != 0) {
    reason += Format("{}AADSTS{}", reason.empty() ? "" : ", ", error.number);
    const std::string_view explanation = ExplainLogin(error.number);
    if (!explanation.empty()) reason += Format(": {}", explanation);
  }
  const std::string message = reason.empty() ? std::string(MessageOf(status))
                                             : Format("{} ({})", MessageOf(status), reason);
  if (error.error == "temporarily_unavailable") return absl::UnavailableError(message);
  absl::StatusCode code = status.code();
  // 400, 401, 403, 404: all of them mean that this identity is not accepted.
  if (!IsTransient(status)) code = absl::StatusCode::kUnauthenticated;
  absl::Status result(code, message);
  if (const auto delay = RetryAfter(status)) SetRetryAfter(result, *delay);
  return result;
}

absl::StatusOr<std::string> ReadIdentifier(const AzureIdentifier& identifier,
                                           std::string_view what) {
  if (!identifier.text.empty()) return identifier.text;
  Credential credential(identifier.source, std::string(what));
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes value, credential.Read());
  std::string text(value.ExposeAsText());
  const bool plain = text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
                       return IsUnreserved(c) || c == ':' || c == '/';
                     });
  if (!plain) {
    return absl::FailedPreconditionError(
        Format("the {} is none; expected an identifier", credential.Description()));
  }
  return text;
}

}  // namespace secretfs::providers::azure
