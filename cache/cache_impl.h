#pragma once

// The wiring of the cache: turns calls, timers and answers into changes of entries, and those into
// questions to stores, calls of listeners and callbacks. The rules themselves are in Entry,
// Freshness, StoreGate, StoreQueue and Lists.
//
// Every change ends in Touch(record). One Settle per turn of the I/O thread then does, for all
// records touched in that turn and in this order: tells the listeners, runs the callbacks of
// readers, and decides when each record is to be looked at again or is dropped. So what arrives
// together is published together, and a listener hears of a value before any reader gets it. What
// is kept for the next server is written before both.
//
// Thread-safety: AddStore, FindStore and what cache.h promises of Cache from any thread; everything
// else on the I/O thread, inside Lifetime::Run.

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cache/cache.h"
#include "cache/environment.h"
#include "cache/listeners.h"
#include "cache/lists.h"
#include "cache/record.h"
#include "cache/store_calls.h"

namespace secretfs::cache {

class Cache::Impl {
 public:
  Impl(CacheOptions options, asio::io_context& context, const Clock& clock, Scheduler& scheduler,
       Random& random);

  // --- any thread

  StoreId AddStore(StoreSettings settings);
  // Null for an id that AddStore did not return. Stores are never removed.
  Store* FindStore(StoreId id) const;
  Environment& environment() { return environment_; }
  Listeners& listeners() { return listeners_; }
  uint64_t NewInterestId() { return next_interest_id_++; }

  // --- I/O thread

  void AddInterest(const EntryKey& key, RecordInterest interest);
  void DropInterest(uint64_t id);
  void Read(const EntryKey& key, ReadCallback callback);
  void Refresh(const EntryKey& key, ReadCallback callback);
  void Prefetch(const std::vector<EntryKey>& keys);
  void List(StoreId store, std::string prefix, const Policy& policy, bool force,
            ListCallback callback);
  void Status(const std::function<void(std::vector<EntrySnapshot>)>& callback);
  void ForgetUnclaimed();
  enum class Ending {
    kForGood,
    kHandOver,  // another server goes on
  };
  void Shutdown(Duration deadline, Ending ending, std::function<void()> done);

 private:
  using Waiter = Waiters<EntrySnapshot>::Waiter;

  // Null (after answering) if the store is unknown or the cache is shutting down.
  Record* FindRecord(const EntryKey& key, const ReadCallback& callback);
  EntrySnapshot SnapshotOf(const Record& record) const;

  // reads.cc
  void Serve(Record& record, ReadCallback callback);
  void Wait(Record& record, Waiter waiter);
  void Late(Record& record, Waiter waiter);
  void AnswerWaiters(Record& record);

  // asking.cc
  // Whether the store is to be asked when the time comes.
  bool MayAsk(const Record& record, MonotonicTime now) const;
  void Ask(Record& record, bool fetch_anew);
  void Renew(Record& record);
  bool StillWanted(Record& record);
  void Answered(StoreQueue::Answers answers);
  void FetchFailed(Record& record, const absl::Status& error);
  void Renewed(Record& record, MonotonicTime started,
               const absl::StatusOr<providers::Lease>& result);
  void AfterAnswer(Record& record);
  void Recovered(Store& store);
  void ProbeFailed(Store& store);
  void StoreChanged(Store& store, const providers::ChangeSet& changes);
  // Returns whether the store is to be asked for it now.
  bool RecordChanged(Record& record);
  void RunAgenda(Store& store);

  // rounds.cc
  // Asks for all of them; what their answers change is told together.
  void AskTogether(const std::vector<Record*>& records, bool fetch_anew);
  // `record` got its answer.
  void LeaveRound(Record& record);
  void EndRound(Round& round);

  // settle.cc
  void Touch(Record& record);
  void Settle();
  void NotifyListeners(const std::vector<Record*>& records);
  void Reconsider(Record& record);
  void UpdateEviction(Record& record);
  void EvictSurplus();
  std::optional<MonotonicTime> NextLook(const Record& record, MonotonicTime now) const;
  void SetAgenda(Record& record, std::optional<MonotonicTime> time);
  void Erase(Record& record);

  // keeping.cc
  void Keep(Record& record);
  void Restore(Record& record);
  void CatchUp();

  // shutdown.cc
  void StopStore(Store& store);
  void Revoke(Store& store, const providers::Lease& lease);
  void ReleaseLeases(Record& record);
  void CloseProviders();
  void FinishShutdown();

  Environment environment_;
  Listeners listeners_;
  std::atomic<uint64_t> next_interest_id_ = 1;

  mutable absl::Mutex stores_mutex_;
  // The index is the id minus one. Stores themselves are used on the I/O thread.
  std::vector<std::unique_ptr<Store>> stores_ ABSL_GUARDED_BY(stores_mutex_);
  std::vector<Store*> AllStores() const;

  // --- I/O thread:
  StoreCalls calls_{environment_};
  Lists lists_{environment_, calls_};
  std::unordered_map<uint64_t, Record*> interests_;
  std::vector<Record*> touched_;
  std::vector<std::function<void()>> ready_;  // callbacks of readers, for Settle
  bool settle_posted_ = false;
  std::vector<Record*> restored_;  // in this turn, from stores that have a watch; also touched
  bool told_that_kept_is_full_ = false;
  // Records with a value and without a pinned interest, most recently used first.
  std::list<Record*> evictable_;
  size_t bytes_ = 0;  // sum of counted_bytes

  enum class Stage { kRunning, kRevoking, kClosing, kClosed };
  Stage stage_ = Stage::kRunning;
  Ending ending_ = Ending::kForGood;  // counts once the stage is not kRunning
  MonotonicTime shutdown_deadline_;
  std::vector<std::function<void()>> shutdown_done_;
  Timer shutdown_timer_{environment_, [this] { FinishShutdown(); }};
};

}  // namespace secretfs::cache
