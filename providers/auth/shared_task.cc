#include "providers/auth/shared_task.h"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "base/text.h"

namespace secretfs::providers {
namespace {

// Stands in the list of those who wait for as long as it lives.
class Waiting {
 public:
  Waiting(std::vector<asio::steady_timer*>& list, asio::steady_timer& timer)
      : list_(list), timer_(timer) {
    list_.push_back(&timer_);
  }
  ~Waiting() { std::erase(list_, &timer_); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::vector<asio::steady_timer*>& list_;
  asio::steady_timer& timer_;
};

}  // namespace

asio::awaitable<absl::Status> SharedTask::Run(std::shared_ptr<void> owner, Start start,
                                              MonotonicTime deadline) {
  std::shared_ptr<Attempt> attempt = attempt_;
  if (attempt == nullptr) {
    attempt = std::make_shared<Attempt>();
    attempt_ = attempt;
    asio::co_spawn(context_, Drive(owner, attempt, std::move(start)), asio::detached);
  }
  if (!attempt->result.has_value()) {
    asio::steady_timer timer(context_);
    if (deadline == MonotonicTime::max()) {
      timer.expires_at(asio::steady_timer::time_point::max());
    } else {
      timer.expires_after(deadline - clock_.Now());
    }
    const Waiting waiting(attempt->waiting, timer);
    asio::error_code ignored;  // cancelled: by Drive, or because the caller is cancelled
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (attempt->result.has_value()) co_return *attempt->result;
  co_return absl::DeadlineExceededError(
      Format("the deadline passed while waiting for the {}", name_));
}

asio::awaitable<void> SharedTask::Drive(std::shared_ptr<void> owner,
                                        std::shared_ptr<Attempt> attempt, Start start) {
  absl::Status status = absl::InternalError(Format("the {} ended without a result", name_));
  try {
    status = co_await start();
  } catch (const std::exception& exception) {
    status = absl::InternalError(Format("the {} failed: {}", name_, exception.what()));
  }
  attempt->result = status;
  attempt_.reset();
  for (asio::steady_timer* timer : attempt->waiting) timer->cancel();
  owner.reset();
}

}  // namespace secretfs::providers
