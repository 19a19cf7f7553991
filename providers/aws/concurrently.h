#pragma once

// Runs several coroutines side by side on the I/O thread and waits for all of them. They go on by
// themselves when the one who waits is cancelled, so each must own what it uses.

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace secretfs::providers::aws {

template <typename T>
struct SideBySide {
  explicit SideBySide(asio::io_context& context, size_t count, const T& unfinished)
      : results(count, unfinished), left(count), done(context) {
    done.expires_at(asio::steady_timer::time_point::max());
  }
  std::vector<T> results;
  size_t left;
  asio::steady_timer done;
};

// One of the coroutines: its result goes to its place.
template <typename T>
asio::awaitable<void> RunOne(std::shared_ptr<SideBySide<T>> all, size_t place,
                             std::function<asio::awaitable<T>()> start) {
  T result = co_await start();
  all->results[place] = std::move(result);
  if (--all->left == 0) all->done.cancel();
}

// The results in order; `unfinished` stands for one that threw.
template <typename T>
asio::awaitable<std::vector<T>> RunSideBySide(
    asio::io_context& context, std::vector<std::function<asio::awaitable<T>()>> starts,
    T unfinished) {
  const auto all = std::make_shared<SideBySide<T>>(context, starts.size(), unfinished);
  for (size_t i = 0; i < starts.size(); ++i) {
    asio::co_spawn(context, RunOne<T>(all, i, std::move(starts[i])),
                   [all](const std::exception_ptr& thrown) {
                     if (thrown != nullptr && --all->left == 0) all->done.cancel();
                   });
  }
  if (all->left > 0) {
    asio::error_code cancelled;
    co_await all->done.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
  co_return std::move(all->results);
}

}  // namespace secretfs::providers::aws
