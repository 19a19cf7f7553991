#pragma once

// The one thread on which providers' coroutines and the cache run, and the scheduler on top of it.
// Everything that waits for a store waits here, as a parked coroutine: no other thread is held.
//
// Thread-safety: Post and context().get_executor() may be used from any thread. Stop must not be
// called from the I/O thread itself.

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>

#include "base/scheduler.h"

namespace secretfs {

// REQUIRES: outlived by `context`; used on the thread that runs it.
class AsioScheduler final : public Scheduler {
 public:
  explicit AsioScheduler(asio::io_context& context) : context_(context) {}
  TimerId After(Duration delay, std::function<void()> function) override;
  void Cancel(TimerId id) override;

 private:
  asio::io_context& context_;
  TimerId next_id_ = 1;
  std::unordered_map<TimerId, std::unique_ptr<asio::steady_timer>> timers_;
};

class IoThread {
 public:
  IoThread();
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  asio::io_context& context() { return context_; }
  AsioScheduler& scheduler() { return scheduler_; }

  // Starts the thread. REQUIRES: called once.
  void Start();
  // Runs `function` on the I/O thread, in the order of the calls.
  void Post(std::function<void()> function);
  // Runs `function` on the I/O thread and waits until it has returned.
  void RunAndWait(std::function<void()> function);
  // Ends the thread; whatever waits is dropped. Idempotent.
  void Stop();

 private:
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  AsioScheduler scheduler_{context_};
  std::thread thread_;
};

}  // namespace secretfs
