#include "providers/kubernetes/issued_authorizer.h"

#include <utility>

namespace secretfs::providers::kubernetes {
namespace {

// How long a credential that replaced a refused one is not replaced although the server refuses it,
// too: it seems that replacing does not help, or not at once.
constexpr Duration kNewCredential = std::chrono::seconds(10);
constexpr Duration kRetryDelay = std::chrono::seconds(2);

}  // namespace

asio::awaitable<absl::StatusOr<Authorization>> IssuedAuthorizer::Get(MonotonicTime deadline) {
  const std::shared_ptr<IssuedAuthorizer> self = shared_from_this();
  const MonotonicTime now = clock_.Now();
  const bool has_one = current_.has_value() && !refused_ && now < current_->expires_at;
  if (has_one && (now < current_->renew_at || now < retry_at_)) co_return current_->authorization;
  if (!failure_.ok() && now < retry_at_) co_return failure_;
  SharedTask::Start start = [this] { return Renew(); };
  std::shared_ptr<void> owner = self;
  const absl::Status status = co_await task_.Run(std::move(owner), std::move(start), deadline);
  if (status.ok() || (has_one && !refused_)) co_return current_->authorization;
  co_return status;
}

void IssuedAuthorizer::Refused(const Authorization& refused) {
  if (!current_.has_value() || !(current_->authorization == refused)) return;
  if (!is_replacement_ || clock_.Now() - issued_at_ >= kNewCredential) refused_ = true;
}

asio::awaitable<absl::Status> IssuedAuthorizer::Renew() {
  absl::StatusOr<Issued> issued = co_await Issue();
  failure_ = issued.status();
  if (!issued.ok()) {
    retry_at_ = clock_.Now() + kRetryDelay;
    co_return failure_;
  }
  current_ = *std::move(issued);
  issued_at_ = clock_.Now();
  is_replacement_ = std::exchange(refused_, false);
  co_return absl::OkStatus();
}

}  // namespace secretfs::providers::kubernetes
