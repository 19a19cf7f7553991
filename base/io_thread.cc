#include "base/io_thread.h"

#include <pthread.h>

#include <asio/post.hpp>
#include <future>
#include <utility>

#include "base/stack_scrub.h"

namespace secretfs {

Scheduler::TimerId AsioScheduler::After(Duration delay, std::function<void()> function) {
  const TimerId id = next_id_++;
  auto timer = std::make_unique<asio::steady_timer>(context_, delay);
  timer->async_wait([this, id, function = std::move(function)](const asio::error_code& error) {
    // A cancelled timer may already have been erased, or its completion was queued when it was.
    if (error || timers_.erase(id) == 0) return;
    function();
  });
  timers_.emplace(id, std::move(timer));
  return id;
}

void AsioScheduler::Cancel(TimerId id) { timers_.erase(id); }

IoThread::IoThread() : context_(1), work_(asio::make_work_guard(context_)) {}

IoThread::~IoThread() { Stop(); }

void IoThread::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "secretfs-io");
    // Whoever waits here next may wait for long, and a store's answer was on this stack.
    while (context_.run_one() != 0) ScrubStack();
  });
}

void IoThread::Post(std::function<void()> function) { asio::post(context_, std::move(function)); }

void IoThread::RunAndWait(std::function<void()> function) {
  std::promise<void> done;
  Post([&] {
    function();
    done.set_value();
  });
  done.get_future().wait();
}

void IoThread::Stop() {
  work_.reset();
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace secretfs
