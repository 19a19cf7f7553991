#include "providers/gcp/session.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::gcp {
namespace {

// Getting a token is shared, so no caller's deadline is its own.
constexpr Duration kOwnDeadline = std::chrono::seconds(15);
// A token that still lives is replaced when less than this is left: the metadata server hands out
// the old one until five minutes before its end.
constexpr Duration kReplaceBefore = std::chrono::seconds(225);
// A token is not used in its last moments: the request takes time, and clocks differ.
constexpr Duration kMargin = std::chrono::seconds(10);
// A replacement that failed is tried again after this, while the old token lives.
constexpr Duration kTryAgain = std::chrono::seconds(30);

}  // namespace

Session::Session(std::shared_ptr<Client> client, std::unique_ptr<TokenSource> source)
    : client_(std::move(client)),
      source_(std::move(source)),
      task_(client_->context(), client_->clock(), "access token") {}

bool Session::Usable() const { return current_ != nullptr && client_->clock().Now() < ends_at_; }

asio::awaitable<absl::StatusOr<TokenBytes>> Session::Token(MonotonicTime deadline) {
  if (closed_) co_return absl::CancelledError("the store is closed");
  if (Usable() && !source_->HasNewCredential()) {
    TokenBytes token = current_;
    const MonotonicTime now = client_->clock().Now();
    if (now >= replace_at_ && !task_.running()) {
      replace_at_ = now + kTryAgain;
      asio::co_spawn(client_->context(), GetInBackground(shared_from_this()), asio::detached);
    }
    co_return token;
  }
  const absl::Status status = co_await GetOnce(deadline);
  if (status.ok()) co_return current_;
  if (Usable()) {
    Log().warn("the new Google credential cannot be used, the old token stays: {}", status);
    co_return current_;
  }
  co_return status;
}

asio::awaitable<absl::StatusOr<TokenBytes>> Session::Replace(TokenBytes refused,
                                                             MonotonicTime deadline) {
  if (current_ == refused) current_.reset();
  co_return co_await Token(deadline);
}

void Session::Close() {
  closed_ = true;
  current_.reset();
}

asio::awaitable<void> Session::GetInBackground(std::shared_ptr<Session> self) {
  const absl::Status status = co_await self->GetOnce(MonotonicTime::max());
  if (!status.ok() && !self->closed_) {
    Log().warn("a Google access token that ends soon could not be replaced yet: {}", status);
  }
}

asio::awaitable<absl::Status> Session::GetOnce(MonotonicTime deadline) {
  const std::shared_ptr<Session> self = shared_from_this();
  SharedTask::Start start = [self] { return self->DoGet(); };
  co_return co_await task_.Run(self, std::move(start), deadline);
}

asio::awaitable<absl::Status> Session::DoGet() {
  const MonotonicTime deadline = client_->clock().Now() + kOwnDeadline;
  absl::StatusOr<AccessToken> got = co_await source_->Get(deadline);
  if (!got.ok()) {
    co_return WithContext(got.status(), Format("no access token by {}", source_->Description()));
  }
  if (closed_) co_return absl::CancelledError("the store is closed");
  const MonotonicTime now = client_->clock().Now();
  const Duration life = std::max(got->life - kMargin, Duration(std::chrono::seconds(1)));
  current_ = std::make_shared<const SecretBytes>(std::move(got->token));
  ends_at_ = now + life;
  replace_at_ = ends_at_ - std::min(kReplaceBefore, life / 4);
  co_return absl::OkStatus();
}

}  // namespace secretfs::providers::gcp
