#pragma once

// The parked coroutine of one wait, whatever Asio's type for it is. Resume it exactly once.
// Thread-safety: the thread of its executor.

#include <asio/associated_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <utility>

namespace secretfs::providers {

class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void ResumeNow() = 0;    // on this stack, if this is its thread
  virtual void ResumeLater() = 0;  // from the context's queue
};

template <typename Handler>
class WaiterFor final : public Waiter {
 public:
  explicit WaiterFor(Handler handler)
      : handler_(std::move(handler)), work_(asio::get_associated_executor(handler_)) {}
  void ResumeNow() override { asio::dispatch(work_.get_executor(), std::move(handler_)); }
  void ResumeLater() override { asio::post(work_.get_executor(), std::move(handler_)); }

 private:
  Handler handler_;
  asio::executor_work_guard<asio::associated_executor_t<Handler>> work_;
};

}  // namespace secretfs::providers
