#pragma once

// The callers that wait for one entry or one listing, each with a deadline and with the number of
// the attempt that has to come first. I/O thread only. REQUIRES: empty when destroyed, unless the
// cache's lifetime has ended.

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/environment.h"

namespace secretfs::cache {

template <typename Result>
class Waiters {
 public:
  using Callback = std::function<void(absl::StatusOr<Result>)>;
  struct Waiter {
    // Attempts are counted from 1 as they start; this waiter is content with this one or a later
    // one.
    uint64_t needs = 0;
    // Asked for an attempt of its own: an older value does not do when its deadline passes.
    bool forced = false;
    // Came while the store was only probed: it does not wait for a second attempt.
    bool came_for_probe = false;
    Callback callback;
  };

  explicit Waiters(Environment& environment) : environment_(environment) {}

  // `on_deadline` runs with the waiter, which is removed then, unless it was taken before.
  void Add(Waiter waiter, Duration deadline, std::function<void(Waiter)> on_deadline) {
    const uint64_t id = next_id_++;
    const Scheduler::TimerId timer = environment_.scheduler.After(
        deadline,
        [this, id, lifetime = environment_.lifetime, on_deadline = std::move(on_deadline)] {
          lifetime->Run([&] {
            std::optional<Waiter> late = Extract(id);
            if (late.has_value()) on_deadline(*std::move(late));
          });
        });
    waiting_.push_back({id, timer, std::move(waiter)});
  }

  // Removes and returns those for which `predicate` holds, in order of arrival.
  template <typename Predicate>
  std::vector<Waiter> Take(Predicate predicate) {
    std::vector<Waiter> taken;
    std::vector<Waiting> kept;
    for (Waiting& waiting : waiting_) {
      if (predicate(std::as_const(waiting.waiter))) {
        environment_.scheduler.Cancel(waiting.timer);
        taken.push_back(std::move(waiting.waiter));
      } else {
        kept.push_back(std::move(waiting));
      }
    }
    waiting_ = std::move(kept);
    return taken;
  }

  bool empty() const { return waiting_.empty(); }
  // Somebody needs an attempt later than number `attempt`.
  bool NeedMoreThan(uint64_t attempt) const {
    for (const Waiting& waiting : waiting_) {
      if (waiting.waiter.needs > attempt) return true;
    }
    return false;
  }

 private:
  struct Waiting {
    uint64_t id;
    Scheduler::TimerId timer;
    Waiter waiter;
  };

  std::optional<Waiter> Extract(uint64_t id) {
    for (auto waiting = waiting_.begin(); waiting != waiting_.end(); ++waiting) {
      if (waiting->id != id) continue;
      std::optional<Waiter> result = std::move(waiting->waiter);
      waiting_.erase(waiting);
      return result;
    }
    return std::nullopt;
  }

  Environment& environment_;
  uint64_t next_id_ = 1;
  std::vector<Waiting> waiting_;
};

}  // namespace secretfs::cache
