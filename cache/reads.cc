// Cache::Impl: what happens when somebody wants a value.

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "cache/cache_impl.h"
#include "cache/messages.h"

namespace secretfs::cache {

void Cache::Impl::Read(const EntryKey& key, ReadCallback callback) {
  Record* record = FindRecord(key, callback);
  if (record == nullptr) return;
  const MonotonicTime now = environment_.Now();
  record->asked = true;
  record->last_read = now;
  if (record->lru_place.has_value()) {
    evictable_.splice(evictable_.begin(), evictable_, *record->lru_place);
  }
  switch (record->entry.Decide(now)) {
    case ReadDecision::kServe:
      return Serve(*record, std::move(callback));
    case ReadDecision::kServeAndAsk:
      if (record->idle() && record->entry.AskAt() <= now) Ask(*record, false);
      return Serve(*record, std::move(callback));
    case ReadDecision::kFail:
      Touch(*record);
      return callback(record->entry.last_error());
    case ReadDecision::kAsk:
      break;
  }
  StoreQueue& queue = *record->store.queue;
  const StoreGate& gate = queue.gate();
  if (gate.ProbeDueAt(now)) {
    queue.ProbeNow();
  } else if (gate.broken() && record->phase != Record::Phase::kSent) {
    Touch(*record);
    return callback(StoreFailing(record->store.settings.name, gate.last_error()));
  }
  const bool joins = record->phase == Record::Phase::kSent;
  Wait(*record, {.needs = joins ? record->asks_started : record->asks_started + 1,
                 .forced = false,
                 .came_for_probe = gate.broken(),
                 .callback = std::move(callback)});
  if (!record->idle()) return;
  // Many readers of something that just failed are not many attempts.
  const MonotonicTime soonest =
      record->entry.freshness().store_is_down()
          ? record->entry.freshness().failed_at() + environment_.options.backoff_first
          : now;
  if (soonest <= now) return Ask(*record, false);
  record->entry.RetryNotAfter(soonest);
  Touch(*record);
}

void Cache::Impl::Refresh(const EntryKey& key, ReadCallback callback) {
  Record* record = FindRecord(key, callback);
  if (record == nullptr) return;
  record->asked = true;
  record->last_read = environment_.Now();
  StoreQueue& queue = *record->store.queue;
  queue.ProbeNow();
  // One that is already at the store may have left before the change that the caller wants to see.
  Wait(*record, {.needs = record->asks_started + 1,
                 .forced = true,
                 .came_for_probe = queue.gate().broken(),
                 .callback = std::move(callback)});
  if (record->idle()) Ask(*record, true);
}

void Cache::Impl::Prefetch(const std::vector<EntryKey>& keys) {
  const MonotonicTime now = environment_.Now();
  for (const EntryKey& key : keys) {
    Record* record = FindRecord(key, nullptr);
    if (record == nullptr) continue;
    record->asked = true;
    record->last_read = now;
    Touch(*record);
    if (record->idle() && record->entry.Decide(now) == ReadDecision::kAsk &&
        record->entry.AskAt() <= now) {
      Ask(*record, false);
    }
  }
}

void Cache::Impl::Serve(Record& record, ReadCallback callback) {
  EntrySnapshot snapshot = SnapshotOf(record);
  // Listeners hear first of what changed.
  if (record.held_in != nullptr) EndRound(*record.held_in);
  if (!record.touched) return callback(std::move(snapshot));
  ready_.push_back([callback = std::move(callback), snapshot = std::move(snapshot)]() mutable {
    callback(std::move(snapshot));
  });
}

void Cache::Impl::Wait(Record& record, Waiter waiter) {
  if (record.waiters.empty()) record.failures_while_awaited = 0;
  record.waiters.Add(std::move(waiter), record.entry.policy().deadline,
                     [this, &record](Waiter late) { Late(record, std::move(late)); });
  Touch(record);
}

void Cache::Impl::Late(Record& record, Waiter waiter) {
  Touch(record);
  const Moment now = environment_.NowOnBoth();
  providers::SecretPtr usable = record.entry.UsableIfDownAt(now.monotonic);
  if (waiter.forced || usable == nullptr) {
    return waiter.callback(NoAnswer(record.store.settings.name, record.entry.key().ref.key,
                                    record.entry.policy().deadline, record.entry.last_error()));
  }
  // A store that does not answer is down as far as this reader can tell.
  EntrySnapshot snapshot = SnapshotOf(record);
  snapshot.secret = std::move(usable);
  waiter.callback(std::move(snapshot));
}

// After an attempt: who can be answered is.
void Cache::Impl::AnswerWaiters(Record& record) {
  const Entry& entry = record.entry;
  const bool usable = entry.UsableAt(environment_.Now()) != nullptr;
  const bool retried = !usable && entry.freshness().store_is_down();
  auto answered = record.waiters.Take([&](const Waiter& waiter) {
    return waiter.needs <= record.asks_started && (!retried || waiter.came_for_probe);
  });
  for (Waiter& waiter : answered) {
    if (usable) {
      Serve(record, std::move(waiter.callback));
      continue;
    }
    ready_.push_back(
        [callback = std::move(waiter.callback), error = entry.last_error()] { callback(error); });
  }
}

}  // namespace secretfs::cache
