#include "providers/azure/session.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/azure/entra.h"

namespace secretfs::providers::azure {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Logins are shared, so no caller's deadline is theirs.
constexpr Duration kOwnDeadline = seconds(15);
// A token is not used in its last seconds: it would end on the way.
constexpr Duration kReserve = seconds(30);
// Without a word of the service: so long before its end a token is replaced.
constexpr Duration kEarly = minutes(5);
constexpr Duration kRefreshRetry = seconds(30);
// A token that was refused so soon after it was made, and never accepted, will not be better the
// next time.
constexpr Duration kReloginAfterRefusal = seconds(10);

}  // namespace

Session::Session(SessionOptions options, std::unique_ptr<TokenSource> source,
                 std::shared_ptr<Transport> transport)
    : options_(std::move(options)),
      source_(std::move(source)),
      transport_(std::move(transport)),
      login_(transport_->context(), transport_->clock(), "login"),
      audience_(options_.audience) {}

bool Session::KnowsAudience() const {
  if (audience_.resource.empty()) return false;
  return !source_->NeedsTenant() || !audience_.tenant.empty() || !options_.tenant.empty();
}

bool Session::Usable() const { return current_ != nullptr && transport_->clock().Now() < ends_at_; }

asio::awaitable<absl::StatusOr<TokenBytes>> Session::Token(MonotonicTime deadline) {
  if (closed_) co_return absl::CancelledError("the store is closed");
  const bool replaced = current_ != nullptr && source_->HasNewCredential();
  if (Usable() && !replaced) {
    const MonotonicTime now = transport_->clock().Now();
    if (now >= refresh_at_ && !login_.running()) {
      refresh_at_ = now + kRefreshRetry;
      asio::co_spawn(transport_->context(), RefreshInBackground(), asio::detached);
    }
    co_return current_;
  }
  const absl::Status status = co_await LogInOnce(deadline);
  if (status.ok()) co_return current_;
  if (Usable()) {
    Log().warn("the new Azure credential cannot be used, the token of the old one stays: {}",
               status);
    co_return current_;
  }
  co_return status;
}

asio::awaitable<void> Session::RefreshInBackground() {
  const std::shared_ptr<Session> self = shared_from_this();
  const absl::Status status = co_await LogInOnce(transport_->clock().Now() + kOwnDeadline);
  if (!status.ok() && !closed_) {
    Log().warn("Key Vault at {}: the token could not be kept fresh: {}", options_.vault_host,
               status);
  }
}

asio::awaitable<absl::Status> Session::LogInOnce(MonotonicTime deadline) {
  const std::shared_ptr<Session> self = shared_from_this();
  SharedTask::Start start = [self] { return self->DoLogIn(); };
  co_return co_await login_.Run(self, std::move(start), deadline);
}

asio::awaitable<absl::Status> Session::DoLogIn() {
  Audience audience = audience_;
  if (source_->NeedsTenant() && audience.tenant.empty()) {
    const absl::StatusOr<std::string> tenant = ReadIdentifier(options_.tenant, "tenant id");
    if (!tenant.ok()) co_return tenant.status();
    if (!IsTenant(*tenant)) {
      co_return absl::FailedPreconditionError(
          "the tenant id is none; expected an identifier or a domain name");
    }
    audience.tenant = *tenant;
  }
  const MonotonicTime deadline = transport_->clock().Now() + kOwnDeadline;
  absl::StatusOr<AccessToken> token = co_await source_->Get(audience, deadline);
  if (!token.ok()) {
    co_return WithContext(token.status(), Format("no token by {}", source_->Description()));
  }
  if (closed_) co_return absl::CancelledError("the store is closed");
  // The vault may have asked for something else meanwhile.
  if (audience.resource != audience_.resource) {
    co_return absl::AbortedError("the vault asked for another token meanwhile");
  }
  Install(std::move(*token));
  co_return absl::OkStatus();
}

void Session::Install(AccessToken token) {
  obtained_at_ = transport_->clock().Now();
  const Duration lives = token.lives;
  ends_at_ = obtained_at_ + std::max(lives - kReserve, lives / 2);
  Duration refresh =
      lives >= 2 * std::chrono::hours(1) ? lives / 2 : std::max(lives - kEarly, lives / 2);
  if (token.refresh_in.has_value()) refresh = *token.refresh_in;
  refresh_at_ = obtained_at_ + refresh;
  // Metadata services hand out the same token until it is old.
  if (current_ != nullptr && current_->ConstantTimeEquals(token.token)) return;
  current_ = std::make_shared<const SecretBytes>(std::move(token.token));
  accepted_ = false;
}

void Session::Accepted(const TokenBytes& used) {
  if (used != nullptr && used == current_) accepted_ = true;
}

absl::Status Session::Learn(std::string header) {
  absl::StatusOr<Challenge> challenge = ParseChallenge(header);
  if (!challenge.ok()) return challenge.status();
  challenged_tenant_ = challenge->tenant;
  if (options_.audience.tenant.empty() && options_.tenant.empty()) {
    audience_.tenant = challenge->tenant;
  }
  if (options_.resource_is_fixed || challenge->resource == audience_.resource) {
    return absl::OkStatus();
  }
  if (options_.verify_challenge_resource &&
      !ResourceFitsHost(challenge->resource, options_.vault_host)) {
    return absl::UnauthenticatedError(Format(
        "the vault asks for a token for {}, which is not its own domain: it is not given one "
        "(verifyChallengeResource: false allows it for a vault behind another name)",
        challenge->resource));
  }
  audience_.resource = std::move(challenge->resource);
  current_.reset();
  return absl::OkStatus();
}

asio::awaitable<absl::Status> Session::Replace(TokenBytes used, MonotonicTime deadline) {
  if (current_ != nullptr && current_ != used) co_return absl::OkStatus();
  std::string hint;
  if (source_->NeedsTenant() && !challenged_tenant_.empty() && !options_.audience.tenant.empty() &&
      challenged_tenant_ != options_.audience.tenant) {
    hint = Format(" (the vault lives in the tenant {}, the store's tenantId is {})",
                  challenged_tenant_, options_.audience.tenant);
  }
  const absl::Status refused = absl::UnauthenticatedError(
      Format("the vault does not accept the token of {}{}", source_->Description(), hint));
  const Duration age = transport_->clock().Now() - obtained_at_;
  if (current_ != nullptr && !accepted_ && age < kReloginAfterRefusal) co_return refused;
  current_.reset();
  const absl::Status status = co_await LogInOnce(deadline);
  if (!status.ok()) co_return status;
  // A metadata service may know no other token than the refused one.
  if (used != nullptr && current_ != nullptr && current_->ConstantTimeEquals(*used)) {
    co_return refused;
  }
  co_return absl::OkStatus();
}

}  // namespace secretfs::providers::azure
