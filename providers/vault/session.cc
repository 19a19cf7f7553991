#include "providers/vault/session.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

using std::chrono::seconds;

// Logins and renewals are shared, so no caller's deadline is theirs.
constexpr Duration kOwnDeadline = seconds(15);
// A token that was found good is not asked about again this long, however many paths are denied.
constexpr Duration kVerdictLife = seconds(30);
// A token that is good but refused somewhere is replaced by a new login this often, so that a
// policy which was added to the role takes effect.
constexpr Duration kReloginAfterDenial = std::chrono::minutes(5);

// Batch tokens are not stored by the server, which can neither renew nor revoke them.
bool IsBatchToken(const SecretBytes& token) {
  const std::string_view text = token.ExposeAsText();
  return text.starts_with("hvb.") || text.starts_with("b.");
}

}  // namespace

Session::Session(std::shared_ptr<Client> client, std::unique_ptr<Authenticator> authenticator,
                 Scheduler& scheduler)
    : client_(std::move(client)),
      authenticator_(std::move(authenticator)),
      scheduler_(scheduler),
      login_(client_->context(), client_->clock(), "login"),
      verification_(client_->context(), client_->clock(), "check of the token") {}

Session::~Session() = default;

MonotonicTime Session::OwnDeadline() const { return client_->clock().Now() + kOwnDeadline; }

bool Session::Expired() const {
  return expires_at_.has_value() && client_->clock().Now() >= *expires_at_;
}

asio::awaitable<absl::StatusOr<TokenBytes>> Session::Token(MonotonicTime deadline) {
  if (closed_) co_return absl::CancelledError("the store is closed");
  const bool replaced = authenticator_->HasNewCredential();
  // A token of the user's may look expired because it was renewed by somebody else: the server
  // decides.
  const bool usable = current_ != nullptr && !(authenticator_->MakesTokens() && Expired());
  if (usable && !replaced) co_return current_;
  const absl::Status status = co_await LogInOnce(deadline);
  if (status.ok()) co_return current_;
  if (usable) {
    Log().warn("the new Vault credential cannot be used, the old one stays: {}", status);
    co_return current_;
  }
  co_return status;
}

asio::awaitable<absl::Status> Session::LogInOnce(MonotonicTime deadline) {
  const std::shared_ptr<Session> self = shared_from_this();
  SharedTask::Start start = [self] { return self->DoLogIn(); };
  co_return co_await login_.Run(self, std::move(start), deadline);
}

asio::awaitable<absl::Status> Session::DoLogIn() {
  const MonotonicTime deadline = OwnDeadline();
  absl::StatusOr<Login> login = co_await authenticator_->LogIn(deadline);
  if (!login.ok()) {
    co_return WithContext(login.status(), Format("no token by {}", authenticator_->Description()));
  }
  Install(std::move(*login));
  if (!closed_) co_return absl::OkStatus();
  // Close may have gone through the tokens while this one was on its way.
  TokenBytes token = current_;
  std::erase_if(made_, [&token](const MadeToken& made) { return made.token == token; });
  if (authenticator_->MakesTokens()) co_await RevokeToken(std::move(token), deadline);
  co_return absl::CancelledError("the store is closed");
}

void Session::Install(Login login) {
  if (current_ != nullptr && current_->ConstantTimeEquals(login.token)) return;
  current_ = std::make_shared<const SecretBytes>(std::move(login.token));
  obtained_at_ = client_->clock().Now();
  expires_at_.reset();
  granted_ = login.duration;
  if (authenticator_->MakesTokens()) {
    LivesFor(login.duration, login.renewable);
    RememberMade();
  } else {
    // How long it lives is asked in the background: nobody's first read waits for it.
    Schedule(Duration(0), Work::kLearnLifetime);
  }
}

void Session::RememberMade() {
  const MonotonicTime now = client_->clock().Now();
  std::erase_if(made_,
                [now](const MadeToken& made) { return made.ends_at && *made.ends_at < now; });
  made_.push_back({current_, expires_at_});
}

asio::awaitable<absl::StatusOr<HttpResponse>> Session::LookUp(TokenBytes token,
                                                              MonotonicTime deadline) {
  Call call;
  call.path = "auth/token/lookup-self";
  call.token = std::move(token);
  call.deadline = deadline;
  co_return co_await client_->Send(std::move(call));
}

asio::awaitable<absl::Status> Session::DoVerify(TokenBytes token) {
  const absl::StatusOr<HttpResponse> response = co_await LookUp(token, OwnDeadline());
  if (!response.ok()) co_return response.status();
  const absl::Status status = client_->StatusOf(*response, "looking up the token");
  if (IsTransient(status)) co_return status;
  verified_ = token;
  verified_at_ = client_->clock().Now();
  if (status.ok()) {
    verdict_ = Verdict::kGood;
  } else if (SaysInvalidToken(*response)) {
    verdict_ = Verdict::kInvalid;
  } else {
    verdict_ = Verdict::kMayNotAsk;
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<bool>> Session::RefreshAfterRefusal(TokenBytes used,
                                                                   bool token_is_invalid,
                                                                   MonotonicTime deadline) {
  if (current_ != used) co_return true;
  const MonotonicTime now = client_->clock().Now();
  Verdict verdict = Verdict::kInvalid;
  if (!token_is_invalid) {
    const bool known = verified_ == used && now - verified_at_ < kVerdictLife;
    if (!known) {
      const std::shared_ptr<Session> self = shared_from_this();
      SharedTask::Start start = [self, used] { return self->DoVerify(used); };
      const absl::Status status = co_await verification_.Run(self, std::move(start), deadline);
      // The refusal stands; whether the token is to blame shows another time.
      if (!status.ok()) co_return false;
      if (current_ != used) co_return true;
    }
    verdict = verdict_;
  }
  if (!authenticator_->MakesTokens()) {
    // The only other token can be in the file.
    if (verdict != Verdict::kInvalid && !authenticator_->HasNewCredential()) co_return false;
    const absl::Status status = co_await LogInOnce(deadline);
    if (!status.ok()) co_return status;
    if (current_ != used) co_return true;
    co_return absl::UnauthenticatedError(Format(
        "Vault at {} does not accept the {} (any more): it has expired or was revoked; put a "
        "new one there",
        client_->address(), authenticator_->Description()));
  }
  if (verdict != Verdict::kInvalid && now - obtained_at_ < kReloginAfterDenial) co_return false;
  const absl::Status status = co_await LogInOnce(deadline);
  if (status.ok()) co_return true;
  if (verdict != Verdict::kInvalid) co_return false;
  co_return status;
}

asio::awaitable<absl::Status> Session::Check(MonotonicTime deadline) {
  absl::StatusOr<TokenBytes> token = co_await Token(deadline);
  if (!token.ok()) co_return token.status();
  const absl::StatusOr<HttpResponse> response = co_await LookUp(*token, deadline);
  if (!response.ok()) co_return response.status();
  const absl::Status status = client_->StatusWithReason(*response, "looking up the token");
  if (status.ok() || IsTransient(status)) co_return status;
  // A token just made by a login is good even when its policies do not let it look at itself.
  if (authenticator_->MakesTokens() && !SaysInvalidToken(*response)) co_return absl::OkStatus();
  co_return absl::UnauthenticatedError(Format(
      "the {} is not accepted, or may not look at itself (the policy 'default' allows it): {}",
      authenticator_->Description(), MessageOf(status)));
}

asio::awaitable<void> Session::Close(MonotonicTime deadline) {
  closed_ = true;
  scheduler_.Cancel(std::exchange(timer_, 0));
  // A login under way finds that the session is closed and gives its token back itself.
  if (login_.running()) co_await LogInOnce(deadline);
  const std::vector<MadeToken> tokens = std::exchange(made_, {});
  for (const MadeToken& made : tokens) {
    if (made.ends_at && *made.ends_at < client_->clock().Now()) continue;
    TokenBytes token = made.token;
    co_await RevokeToken(std::move(token), deadline);
  }
  current_.reset();
}

asio::awaitable<void> Session::RevokeToken(TokenBytes token, MonotonicTime deadline) {
  if (IsBatchToken(*token)) co_return;
  Call call;
  call.method = "POST";
  call.path = "auth/token/revoke-self";
  call.token = std::move(token);
  call.deadline = deadline;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  const absl::Status status =
      response.ok() ? client_->StatusOf(*response, "revoking the token") : response.status();
  // 403: it has ended by itself.
  if (!status.ok() && !absl::IsPermissionDenied(status)) {
    Log().warn("a Vault token could not be given back and lives until its end: {}", status);
  }
}

}  // namespace secretfs::providers::vault
