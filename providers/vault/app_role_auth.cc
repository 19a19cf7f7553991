// AppRole: a role id and a secret id, which may come response-wrapped, that is as a token that can
// be exchanged for the secret id exactly once. What came out of the wrapping is kept for later
// logins, for as long as the server takes it and nobody puts another wrapping token into the file.

#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/vault/authenticator.h"
#include "providers/auth/credential.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

class AppRoleAuthenticator final : public Authenticator {
 public:
  AppRoleAuthenticator(const VaultAppRoleAuth& config, std::shared_ptr<Client> client)
      : path_(config.path),
        role_id_(config.role_id),
        role_ref_(config.role_ref, "role id"),
        secret_id_(config.secret_id,
                   config.secret_id_is_wrapped ? "response-wrapped secret id" : "secret id"),
        is_wrapped_(config.secret_id_is_wrapped),
        client_(std::move(client)) {}

  std::string Description() const override {
    if (secret_id_.empty()) return Format("AppRole at auth/{}", path_);
    return Format("AppRole at auth/{} with the {}", path_, secret_id_.Description());
  }

  asio::awaitable<absl::StatusOr<Login>> LogIn(MonotonicTime deadline) override {
    SecretJson parameters = SecretJson::object();
    SECRETFS_CO_RETURN_IF_ERROR(SetRoleId(parameters));
    if (!secret_id_.empty()) {
      const absl::StatusOr<SecretBytes> secret_id = co_await SecretId(deadline);
      if (!secret_id.ok()) co_return secret_id.status();
      SetText(parameters, "secret_id", secret_id->ExposeAsText());
    }
    SecretBytes body = DumpSecretJson(parameters);
    absl::StatusOr<Login> login = co_await PostLogin(client_, path_, std::move(body), deadline);
    // The secret id is kept even so: the role may come back, and a try costs one request.
    if (absl::IsUnauthenticated(login.status()) && is_wrapped_) {
      co_return WithContext(login.status(), NewOneNeeded());
    }
    co_return login;
  }

 private:
  absl::Status SetRoleId(SecretJson& parameters) {
    if (role_ref_.empty()) {
      SetText(parameters, "role_id", role_id_);
      return absl::OkStatus();
    }
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes role_id, role_ref_.Read());
    SetText(parameters, "role_id", role_id.ExposeAsText());
    return absl::OkStatus();
  }

  std::string NewOneNeeded() const {
    return Format("the {} is used up: put a new one there", secret_id_.Description());
  }

  asio::awaitable<absl::StatusOr<SecretBytes>> SecretId(MonotonicTime deadline) {
    if (!is_wrapped_) co_return secret_id_.Read();
    if (unwrapped_.has_value() && !secret_id_.Changed()) co_return unwrapped_->Clone();
    absl::StatusOr<SecretBytes> wrapping = secret_id_.Read();
    if (!wrapping.ok()) co_return wrapping.status();
    if (used_wrapping_.has_value() && used_wrapping_->ConstantTimeEquals(*wrapping)) {
      // The file was touched, or logging in with its content failed before.
      if (unwrapped_.has_value()) co_return unwrapped_->Clone();
      co_return absl::FailedPreconditionError(NewOneNeeded());
    }
    const TokenBytes token = std::make_shared<const SecretBytes>(std::move(*wrapping));
    absl::StatusOr<SecretBytes> secret_id = co_await Unwrap(token, deadline);
    // After an answer of the server the wrapping token is spent or worthless; after an outage it
    // may still be good.
    if (!IsTransient(secret_id.status())) used_wrapping_ = token->Clone();
    if (!secret_id.ok()) co_return secret_id.status();
    unwrapped_ = secret_id->Clone();
    co_return secret_id;
  }

  asio::awaitable<absl::StatusOr<SecretBytes>> Unwrap(TokenBytes wrapping, MonotonicTime deadline) {
    Call call;
    call.method = "POST";
    call.path = "sys/wrapping/unwrap";
    call.token = wrapping;
    call.deadline = deadline;
    const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
    if (!response.ok()) co_return response.status();
    const absl::Status status =
        client_->StatusWithReason(*response, Format("unwrapping the {}", secret_id_.Description()));
    if (status.ok()) co_return ParseDataField(response->body.ExposeAsText(), "secret_id");
    if (IsTransient(status)) co_return status;
    co_return absl::UnauthenticatedError(
        Format("{}; it has expired or somebody has unwrapped it already: put a new one there, and "
               "if nobody "
               "of yours used it, treat it as stolen",
               MessageOf(status)));
  }

  std::string path_;
  std::string role_id_;
  Credential role_ref_;
  Credential secret_id_;
  bool is_wrapped_;
  std::shared_ptr<Client> client_;
  // Response-wrapped only: the wrapping token that was last exchanged, and what for.
  std::optional<SecretBytes> used_wrapping_;
  std::optional<SecretBytes> unwrapped_;
};

}  // namespace

std::unique_ptr<Authenticator> MakeAppRoleAuthenticator(const VaultAppRoleAuth& config,
                                                        std::shared_ptr<Client> client) {
  return std::make_unique<AppRoleAuthenticator>(config, std::move(client));
}

}  // namespace secretfs::providers::vault
