#pragma once

// One run of a coroutine for everybody who wants its result now: the first caller starts it, others
// join, each waits until its own deadline. The run goes on when all who wait have left, and does
// not inherit anybody's deadline or cancellation.
//
// Thread-safety: I/O thread only. The owner that is passed to Run is kept alive while it runs.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"

namespace secretfs::providers {

class SharedTask {
 public:
  using Start = std::function<asio::awaitable<absl::Status>()>;

  // `name` completes "waiting for the NAME" in errors.
  SharedTask(asio::io_context& context, const Clock& clock, std::string name)
      : context_(context), clock_(clock), name_(std::move(name)) {}

  // The result of the run under way, else of a new one made by `start`; DeadlineExceeded when it
  // takes longer. `owner` owns this task and whatever `start` uses.
  asio::awaitable<absl::Status> Run(std::shared_ptr<void> owner, Start start,
                                    MonotonicTime deadline);

  bool running() const { return attempt_ != nullptr; }

 private:
  struct Attempt {
    std::optional<absl::Status> result;
    std::vector<asio::steady_timer*> waiting;
  };
  asio::awaitable<void> Drive(std::shared_ptr<void> owner, std::shared_ptr<Attempt> attempt,
                              Start start);

  asio::io_context& context_;
  const Clock& clock_;
  std::string name_;
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace secretfs::providers
