#include "providers/aws/session.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A login is shared, so no caller's deadline is its own.
constexpr Duration kOwnDeadline = seconds(15);
// Credentials are replaced in the background this long before they end, or in the last quarter of
// short lives; closer than the last margin they may end on the way, so requests wait for new ones.
constexpr Duration kRenewBefore = minutes(15);
constexpr Duration kLastMargin = seconds(10);
constexpr Duration kRenewPause = seconds(30);

bool SameCredentials(const AwsCredentials& a, const AwsCredentials& b) {
  return a.access_key_id == b.access_key_id &&
         a.session_token.ConstantTimeEquals(b.session_token) &&
         a.secret_access_key.ConstantTimeEquals(b.secret_access_key);
}

}  // namespace

Session::Session(asio::io_context& context, const Clock& clock, std::shared_ptr<Login> login)
    : context_(context),
      clock_(clock),
      login_(std::move(login)),
      task_(context, clock, "AWS login") {}

void Session::Close() {
  closed_ = true;
  current_.reset();
}

bool Session::EndsSoon(Duration margin) const {
  const std::optional<MonotonicTime> end = current_->expires_at;
  return end.has_value() && *end - clock_.Now() <= margin;
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Session::Credentials(MonotonicTime deadline) {
  if (closed_) co_return absl::CancelledError("the store is closed");
  const bool replaced = current_ != nullptr && login_->HasNewCredential();
  const bool usable = current_ != nullptr && !EndsSoon(kLastMargin);
  if (usable && !replaced) {
    const Duration life = current_->expires_at.value_or(obtained_at_) - obtained_at_;
    const bool due = EndsSoon(std::min<Duration>(kRenewBefore, life / 4));
    if (due && !task_.running() && clock_.Now() >= not_before_) {
      not_before_ = clock_.Now() + kRenewPause;
      asio::co_spawn(context_, RenewInBackground(), asio::detached);
    }
    co_return current_;
  }
  const absl::Status status = co_await LogInOnce(deadline);
  if (status.ok() && current_ != nullptr) co_return current_;
  if (usable && current_ != nullptr) {
    Log().warn("the new AWS credentials cannot be used, the old ones stay: {}", status);
    co_return current_;
  }
  if (status.ok()) co_return absl::CancelledError("the store is closed");
  co_return status;
}

asio::awaitable<void> Session::RenewInBackground() {
  const std::shared_ptr<Session> self = shared_from_this();
  const absl::Status status = co_await self->LogInOnce(self->clock_.Now() + kOwnDeadline);
  if (!status.ok() && !self->closed_) {
    Log().warn("the AWS credentials end soon and could not be replaced (trying again): {}", status);
  }
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Session::Replace(AwsCredentialsPtr refused,
                                                                    MonotonicTime deadline) {
  if (current_ != nullptr && current_ != refused) co_return current_;
  const absl::Status status = co_await LogInOnce(deadline);
  if (!status.ok()) co_return status;
  if (current_ == nullptr) co_return absl::CancelledError("the store is closed");
  if (SameCredentials(*current_, *refused)) {
    co_return absl::UnauthenticatedError(
        Format("AWS does not accept {} (any more): the keys have ended, were deleted or are wrong; "
               "put new ones there",
               login_->origin()));
  }
  co_return current_;
}

asio::awaitable<absl::Status> Session::LogInOnce(MonotonicTime deadline) {
  const std::shared_ptr<Session> self = shared_from_this();
  SharedTask::Start start = [self] { return self->DoLogIn(); };
  co_return co_await task_.Run(self, std::move(start), deadline);
}

asio::awaitable<absl::Status> Session::DoLogIn() {
  absl::StatusOr<AwsCredentialsPtr> made = co_await login_->Run(clock_.Now() + kOwnDeadline);
  if (!made.ok()) co_return WithContext(made.status(), "no AWS credentials");
  if (closed_) co_return absl::CancelledError("the store is closed");
  current_ = *std::move(made);
  obtained_at_ = clock_.Now();
  co_return absl::OkStatus();
}

}  // namespace secretfs::providers::aws
