// The part of Session that works in the background: how long a token lives, and keeping one alive.

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/vault/session.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

using std::chrono::seconds;

constexpr Duration kShortestDelay = std::chrono::milliseconds(500);
constexpr Duration kLongestRetry = seconds(60);

}  // namespace

void Session::Schedule(Duration delay, Work work) {
  scheduler_.Cancel(std::exchange(timer_, 0));
  if (closed_) return;
  timer_ = scheduler_.After(delay, [weak = weak_from_this(), token = current_, work] {
    const std::shared_ptr<Session> self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = 0;
    asio::io_context& context = self->client_->context();
    switch (work) {
      case Work::kLearnLifetime:
        return asio::co_spawn(context, self->LearnLifetime(token), asio::detached);
      case Work::kRenew:
        return asio::co_spawn(context, self->Renew(token), asio::detached);
      case Work::kReplace:
        return asio::co_spawn(context, self->Replace(token), asio::detached);
    }
  });
}

void Session::LivesFor(seconds duration, bool renewable) {
  if (duration.count() == 0) {
    expires_at_.reset();
    return;
  }
  expires_at_ = client_->clock().Now() + duration;
  for (MadeToken& made : made_) {
    if (made.token == current_) made.ends_at = expires_at_;
  }
  const Duration two_thirds = std::max(Duration(duration) * 2 / 3, kShortestDelay);
  if (renewable) {
    Schedule(two_thirds, Work::kRenew);
  } else if (authenticator_->MakesTokens()) {
    Schedule(two_thirds, Work::kReplace);
  } else {
    Log().warn(
        "Vault at {}: the {} ends in {} s and cannot be renewed: put a new one there in time",
        client_->address(), authenticator_->Description(), duration.count());
  }
}

asio::awaitable<void> Session::LearnLifetime(TokenBytes token) {
  const std::shared_ptr<Session> self = shared_from_this();
  const absl::StatusOr<HttpResponse> response = co_await LookUp(token, OwnDeadline());
  if (closed_ || current_ != token) co_return;
  const absl::Status status =
      response.ok() ? client_->StatusOf(*response, "looking up the token") : response.status();
  if (IsTransient(status)) {
    TryAgain(status, Work::kLearnLifetime);
    co_return;
  }
  // A token that may not look at itself is used as it is, without renewal.
  if (!status.ok()) co_return;
  const absl::StatusOr<TokenGrant> found = ParseTokenLookup(response->body.ExposeAsText());
  if (!found.ok()) co_return;
  granted_ = found->duration;
  LivesFor(found->duration, found->renewable);
}

asio::awaitable<void> Session::Renew(TokenBytes token) {
  const std::shared_ptr<Session> self = shared_from_this();
  Call call;
  call.method = "POST";
  call.path = "auth/token/renew-self";
  call.token = token;
  call.deadline = OwnDeadline();
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (closed_ || current_ != token) co_return;
  const absl::Status status = response.ok()
                                  ? client_->StatusWithReason(*response, "renewing the token")
                                  : response.status();
  const absl::StatusOr<TokenGrant> grant = status.ok()
                                               ? ParseTokenGrant(response->body.ExposeAsText())
                                               : absl::StatusOr<TokenGrant>(status);
  // Vault answers 500 to this, too.
  const bool is_too_old =
      response.ok() && HasErrorText(response->body.ExposeAsText(), "past the max TTL");
  if (IsTransient(grant.status()) && !is_too_old) {
    TryAgain(grant.status(), Work::kRenew);
  } else if (!grant.ok()) {
    const bool is_expected = is_too_old && authenticator_->MakesTokens();
    Log().log(is_expected ? spdlog::level::debug : spdlog::level::warn,
              "the Vault token cannot be renewed: {}", grant.status());
    if (authenticator_->MakesTokens()) Schedule(Duration(0), Work::kReplace);
  } else if (grant->duration * 2 >= granted_) {
    LivesFor(grant->duration, grant->renewable);
  } else {
    // Less than asked for: its greatest age is near, and renewing will end soon.
    LivesFor(grant->duration, false);
    if (authenticator_->MakesTokens()) Schedule(Duration(0), Work::kReplace);
  }
}

asio::awaitable<void> Session::Replace(TokenBytes token) {
  const std::shared_ptr<Session> self = shared_from_this();
  const absl::Status status = co_await LogInOnce(OwnDeadline());
  if (!status.ok() && current_ == token) TryAgain(status, Work::kReplace);
}

void Session::TryAgain(const absl::Status& status, Work work) {
  if (closed_) return;
  const MonotonicTime now = client_->clock().Now();
  const Duration left = expires_at_.has_value() ? *expires_at_ - now : kLongestRetry;
  Log().warn("Vault at {}: the token could not be kept fresh: {}", client_->address(), status);
  // After its end, the next call logs in and says what is wrong.
  if (left <= Duration(0)) return;
  Schedule(std::clamp(left / 4, kShortestDelay, kLongestRetry), work);
}

}  // namespace secretfs::providers::vault
