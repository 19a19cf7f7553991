// Workload identity federation: a token of another identity provider is traded for one of Google's
// at the security token service (RFC 8693). The other token is read anew each time, because
// whoever made it (kubelet, CI, a sidecar) replaces it before it expires.

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"
#include "providers/gcp/token_source.h"
#include "providers/http/http_status.h"
#include "providers/http/url.h"
#include "providers/secret_json.h"

namespace secretfs::providers::gcp {
namespace {

constexpr size_t kSubjectTokenLimit = 256 << 10;

// The subject token in a document of the source's form.
absl::StatusOr<SecretBytes> ExtractToken(const SubjectTokenSource& source, SecretBytes document,
                                         std::string_view where) {
  if (source.json_field.empty()) return document;
  const absl::StatusOr<SecretJson> json = ParseSecretJson(document.ExposeAsText());
  const SecretJson* field = nullptr;
  if (json.ok() && json->is_object()) {
    const auto found = json->find(SecretString(std::string_view(source.json_field)));
    if (found != json->end()) field = &*found;
  }
  const auto* text = field == nullptr ? nullptr : field->get_ptr<const SecretString*>();
  if (text == nullptr || text->empty()) {
    return absl::FailedPreconditionError(
        Format("{} is no JSON object with text in its field '{}'", where, source.json_field));
  }
  return SecretBytes::CopyOf(std::string_view(*text));
}

class ExternalAccountSource final : public TokenSource {
 public:
  ExternalAccountSource(ExternalAccount account, std::shared_ptr<Client> client)
      : account_(std::move(account)),
        credential_(account_.source.credential, "subject token"),
        client_(std::move(client)) {}

  std::string Description() const override {
    return Format("workload identity federation as {}, with {}", account_.audience, Where());
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    absl::StatusOr<SecretBytes> subject = co_await SubjectToken(deadline);
    if (!subject.ok()) co_return subject.status();
    TokenRequest request;
    request.url = account_.token_url;
    Form form;
    form.Add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    form.Add("audience", account_.audience);
    form.Add("scope", kScope);
    form.Add("requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    form.Add("subject_token", subject->ExposeAsText());
    form.Add("subject_token_type", account_.subject_token_type);
    if (!account_.client_id.empty()) {
      request.authorization = BasicAuthorization(account_.client_id, account_.client_secret);
    } else if (!account_.workforce_pool_user_project.empty()) {
      form.Add("options", Options());
    }
    request.body = form.Finish();
    request.doing = "trading the subject token for an access token";
    request.deadline = deadline;
    TokenAnswer answer = co_await RequestToken(client_, std::move(request));
    co_return std::move(answer.token);
  }

  bool HasNewCredential() const override { return credential_.Changed(); }

 private:
  std::string Where() const {
    if (!credential_.empty()) return credential_.Description();
    return UrlForMessages(account_.source.url);
  }

  // JSON that is percent-encoded once more than the form does it.
  std::string Options() const {
    Form encoded;
    SecretJson options = SecretJson::object();
    options["userProject"] = SecretString(std::string_view(account_.workforce_pool_user_project));
    encoded.Add("", DumpSecretJson(options).ExposeAsText());
    const SecretBytes text = encoded.Finish();
    return std::string(text.ExposeAsText().substr(1));  // without the '='
  }

  asio::awaitable<absl::StatusOr<SecretBytes>> SubjectToken(MonotonicTime deadline) {
    if (!credential_.empty()) {
      absl::StatusOr<SecretBytes> document = credential_.Read();
      if (!document.ok()) co_return document.status();
      co_return ExtractToken(account_.source, *std::move(document), Where());
    }
    HttpRequest request;
    request.url = account_.source.url;
    for (const auto& [name, value] : account_.source.headers) {
      request.headers.emplace_back(name, value.Clone());
    }
    request.deadline = deadline;
    request.body_limit = kSubjectTokenLimit;
    // Without TLS it is a server of this machine or a cloud's metadata server.
    const bool is_near = request.url.starts_with("http://");
    asio::awaitable<absl::StatusOr<HttpResponse>> sending =
        is_near ? client_->SendDirectly(std::move(request)) : client_->Send(std::move(request));
    absl::StatusOr<HttpResponse> response = co_await std::move(sending);
    if (!response.ok()) co_return WithContext(response.status(), "asking for the subject token");
    const absl::Status status = HttpStatus(
        *response, Format("{}, asking for the subject token", Where()), client_->clock().WallNow());
    if (!status.ok()) {
      // What this server does not find or allow is no answer about a secret.
      if (IsTransient(status)) co_return status;
      co_return absl::Status(absl::StatusCode::kFailedPrecondition, status.message());
    }
    co_return ExtractToken(account_.source, std::move(response->body), Where());
  }

  const ExternalAccount account_;
  Credential credential_;
  std::shared_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<TokenSource> MakeExternalAccountSource(ExternalAccount account,
                                                       std::shared_ptr<Client> client) {
  return std::make_unique<ExternalAccountSource>(std::move(account), std::move(client));
}

}  // namespace secretfs::providers::gcp
