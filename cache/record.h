#pragma once

// One entry together with all that the wiring needs around it, and one store with its entries.
// Plain data of Cache::Impl (cache_impl.h), which keeps the invariants below; I/O thread only,
// except where noted.

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/environment.h"
#include "cache/listeners.h"
#include "cache/store_queue.h"
#include "cache/store_watch.h"
#include "cache/waiters.h"

namespace secretfs::cache {

struct Store;
struct Record;

// Records that are asked for together, because they are due together or changed together. What
// their answers change is told to listeners in one piece, however many requests they took: when the
// last answer is there, when somebody reads one of them, or when the timer runs out. Owned by the
// records that point to it.
struct Round {
  Round(Environment& environment, std::function<void(Round&)> on_timer)
      : timer(environment, [this, on_timer = std::move(on_timer)] { on_timer(*this); }) {}
  size_t outstanding = 0;
  std::vector<Record*> held;  // answered, not told yet
  Timer timer;                // runs exactly while something is held
};

struct RecordInterest {
  uint64_t id = 0;
  Policy policy;
  bool pinned = false;
  Listeners::HandlePtr listener;  // may be null
};

// Invariants. A record exists while it has an interest, a waiter, a running question, news that are
// held back or a value (or a remembered error) that is still good for somebody. It is in its
// store's agenda exactly while `agenda_time` is set, and in the list of what may be evicted exactly
// while `lru_place` is set, which is while it has a value and no pinned interest.
struct Record {
  enum class Phase {
    kIdle,
    kQueued,    // a fetch waits for the store's queue
    kSent,      // a fetch is at the store
    kRenewing,  // the lease's renewal is queued or at the store
  };
  // What listeners were told last; the pointer is compared, never used.
  struct Notified {
    EntryState state = EntryState::kAbsent;
    const providers::Secret* secret = nullptr;
    std::string version;
    absl::Status error;
    std::optional<WallTime>
        fetched_at;  // a refresh that found nothing new makes the value fresh again
    bool operator==(const Notified&) const = default;
  };

  Record(Environment& environment, Store& its_store, EntryKey key)
      : store(its_store), entry(std::move(key)), waiters(environment) {}

  Store& store;
  Entry entry;
  std::vector<RecordInterest> interests;
  Waiters<EntrySnapshot> waiters;

  Phase phase = Phase::kIdle;
  uint64_t asks_started = 0;  // fetches that were sent
  // Somebody asked for it once; only then is it kept fresh.
  bool asked = false;
  // It changed at the store while a question was on its way.
  bool ask_again = false;
  // The queued question is only for waiters; it is dropped when the last one gives up.
  bool only_for_waiters = false;
  int failures_while_awaited = 0;
  MonotonicTime last_read = MonotonicTime::min();

  std::shared_ptr<Round> round;    // to which it still owes an answer
  std::shared_ptr<Round> held_in;  // whose end it waits for, and in whose `held` it is

  // Something stands under its name in the kept values (cache/keeping.cc): of this revision of the
  // entry, or of an earlier server.
  bool kept = false;
  uint64_t kept_revision = 0;
  bool looked_in_kept = false;

  bool touched = false;  // is in Impl::touched_
  Notified notified;
  std::optional<MonotonicTime> agenda_time;
  std::optional<std::list<Record*>::iterator> lru_place;
  size_t counted_bytes = 0;

  bool pinned() const {
    for (const RecordInterest& interest : interests) {
      if (interest.pinned) return true;
    }
    return false;
  }
  bool idle() const { return phase == Phase::kIdle; }
};

struct Store {
  Store(StoreId its_id, StoreSettings its_settings)
      : id(its_id),
        settings(std::move(its_settings)),
        capabilities(settings.provider->capabilities()) {}

  // Immutable: any thread.
  const StoreId id;
  const StoreSettings settings;
  const providers::Capabilities capabilities;

  std::unique_ptr<StoreQueue> queue;
  std::unique_ptr<StoreWatch> watch;
  // All versions of one key stand together.
  std::map<providers::SecretRef, std::unique_ptr<Record>> records;
  // When which record is to be looked at again, one timer for all.
  std::set<std::pair<MonotonicTime, Record*>> agenda;
  std::unique_ptr<Timer> agenda_timer;
};

}  // namespace secretfs::cache
