#pragma once

// What every part of the cache needs from outside, bundled: the I/O thread, time, chance, the
// options, and the lifetime that guards all that is queued. One object, owned by the cache. Used on
// the I/O thread, but Post may be called from any thread.

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "base/scheduler.h"
#include "cache/backoff.h"
#include "cache/cache.h"
#include "cache/freshness.h"
#include "cache/lifetime.h"

namespace secretfs::cache {

struct Environment {
  const CacheOptions options;
  asio::io_context& context;
  const Clock& clock;
  Scheduler& scheduler;
  Random& random;
  const std::shared_ptr<Lifetime> lifetime = std::make_shared<Lifetime>();

  // Runs `function` at a later turn of the I/O thread, unless the cache is gone by then.
  template <typename Function>
  void Post(Function function) {
    asio::post(context, [lifetime = lifetime, function = std::move(function)]() mutable {
      lifetime->Run(function);
    });
  }

  MonotonicTime Now() const { return clock.Now(); }
  Moment NowOnBoth() const { return {clock.Now(), clock.WallNow()}; }

  Duration Backoff(int failures) {
    return BackoffDelay(failures, options.backoff_first, options.backoff_most, random.Uniform());
  }
};

// One timer that can be set again and again; its function is fixed. REQUIRES: Cancel before it is
// destroyed, unless the cache's lifetime has ended.
class Timer {
 public:
  Timer(Environment& environment, std::function<void()> function)
      : environment_(environment), function_(std::move(function)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs the function at `time` instead of whenever it was set for before.
  void SetFor(MonotonicTime time) {
    if (id_ != 0 && time == time_) return;
    Cancel();
    time_ = time;
    id_ = environment_.scheduler.After(time - environment_.Now(),
                                       [this, lifetime = environment_.lifetime] {
                                         lifetime->Run([this] {
                                           id_ = 0;
                                           function_();
                                         });
                                       });
  }
  void Cancel() {
    if (id_ == 0) return;
    environment_.scheduler.Cancel(id_);
    id_ = 0;
  }

 private:
  Environment& environment_;
  const std::function<void()> function_;
  Scheduler::TimerId id_ = 0;
  MonotonicTime time_;
};

}  // namespace secretfs::cache
