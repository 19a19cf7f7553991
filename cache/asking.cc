// Cache::Impl: when stores are asked, and what their answers do.

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "cache/cache_impl.h"
#include "cache/messages.h"

namespace secretfs::cache {
namespace {

// Entries of one store that are due about now are asked for together, so that they share requests
// and move together.
constexpr Duration kLeastWindow = std::chrono::milliseconds(250);

Duration WindowOf(const Record& record) {
  return std::max<Duration>(kLeastWindow, record.entry.policy().ttl / 10);
}

}  // namespace

bool Cache::Impl::MayAsk(const Record& record, MonotonicTime now) const {
  if (stage_ != Stage::kRunning) return false;
  if (!record.waiters.empty()) return true;
  if (record.interests.empty() || !record.asked) return false;
  if (record.pinned()) return true;
  const Duration ttl = record.entry.policy().ttl;
  const int ttls = environment_.options.idle_ttls;
  const Duration idle = ttl > Duration::max() / std::max(1, ttls) ? Duration::max() : ttl * ttls;
  return now < SaturatingAdd(record.last_read, idle);
}

void Cache::Impl::Ask(Record& record, bool fetch_anew) {
  if (!record.idle() || stage_ != Stage::kRunning) return;
  Touch(record);
  record.only_for_waiters = record.interests.empty() && !record.waiters.empty();
  if (!fetch_anew && record.entry.WhatToAsk(environment_.Now()) == Entry::Ask::kRenew) {
    return Renew(record);
  }
  record.phase = Record::Phase::kQueued;
  record.store.queue->AddFetch({&record, record.entry.key().ref, record.entry.policy().deadline});
}

void Cache::Impl::Renew(Record& record) {
  record.phase = Record::Phase::kRenewing;
  StoreQueue& queue = *record.store.queue;
  queue.AddTask([this, &record, &queue](StoreQueue::Ticket ticket) {
    const providers::Lease* lease = record.entry.current_lease();
    if (lease == nullptr) {
      // The value went while the renewal waited for its turn.
      queue.TaskDone(ticket, absl::OkStatus());
      record.phase = Record::Phase::kIdle;
      return AfterAnswer(record);
    }
    const providers::RequestContext context{
        SaturatingAdd(ticket.started, record.entry.policy().deadline)};
    calls_.Start<absl::StatusOr<providers::Lease>>(
        CallRenew(record.store.settings.provider, *lease, context), context.deadline,
        [this, &record, &queue, ticket](const absl::StatusOr<providers::Lease>& result) {
          queue.TaskDone(ticket, result.status());
          Renewed(record, ticket.started, result);
        });
  });
}

bool Cache::Impl::StillWanted(Record& record) {
  const bool wanted =
      !record.only_for_waiters || !record.waiters.empty() || !record.interests.empty();
  if (wanted) return true;
  record.phase = Record::Phase::kIdle;
  Touch(record);
  return false;
}

void Cache::Impl::Answered(StoreQueue::Answers answers) {
  const Moment now = environment_.NowOnBoth();
  for (size_t i = 0; i < answers.fetches.size(); ++i) {
    Record& record = *answers.fetches[i].record;
    absl::StatusOr<providers::SecretPtr>& result = answers.results[i];
    record.phase = Record::Phase::kIdle;
    if (stage_ != Stage::kRunning) {
      if (!result.ok()) continue;
      const std::optional<providers::Lease>& lease = (*result)->lease;
      if (lease.has_value()) Revoke(record.store, *lease);
      continue;
    }
    if (result.ok()) {
      record.entry.FetchSucceeded(*result, answers.started, now, environment_.random.Uniform());
      record.failures_while_awaited = 0;
    } else {
      FetchFailed(record, result.status());
    }
    AfterAnswer(record);
  }
}

void Cache::Impl::FetchFailed(Record& record, const absl::Status& error) {
  ++record.failures_while_awaited;
  // Readers who wait get their own series of attempts, not the long pauses of an outage that began
  // before they came.
  const int failures = record.waiters.empty() ? record.entry.freshness().failures_in_a_row() + 1
                                              : record.failures_while_awaited;
  const Duration asked = RetryAfter(error).value_or(std::chrono::milliseconds(0));
  record.entry.FetchFailed(error, environment_.NowOnBoth(),
                           std::max(environment_.Backoff(failures), asked),
                           environment_.random.Uniform());
}

void Cache::Impl::Renewed(Record& record, MonotonicTime started,
                          const absl::StatusOr<providers::Lease>& result) {
  record.phase = Record::Phase::kIdle;
  if (stage_ != Stage::kRunning) return;
  if (result.ok()) {
    record.entry.RenewSucceeded(*result, started, environment_.NowOnBoth(),
                                environment_.random.Uniform());
  } else {
    const int failures = record.entry.freshness().failures_in_a_row() + 1;
    const Duration asked = RetryAfter(result.status()).value_or(std::chrono::milliseconds(0));
    record.entry.RenewFailed(result.status(), environment_.NowOnBoth(),
                             std::max(environment_.Backoff(failures), asked));
  }
  AfterAnswer(record);
}

void Cache::Impl::AfterAnswer(Record& record) {
  Touch(record);
  LeaveRound(record);
  AnswerWaiters(record);
  // The last mount may have gone while the store was making a credential.
  if (record.interests.empty() && !record.only_for_waiters && record.waiters.empty() &&
      record.entry.holds_leases()) {
    ReleaseLeases(record);
  }
  const bool again = std::exchange(record.ask_again, false);
  if (again && !MayAsk(record, environment_.Now())) record.entry.MarkStale(environment_.Now());
  if ((again && MayAsk(record, environment_.Now())) ||
      record.waiters.NeedMoreThan(record.asks_started)) {
    Ask(record, true);
  }
}

void Cache::Impl::Recovered(Store& store) {
  const MonotonicTime now = environment_.Now();
  std::vector<Record*> waiting;
  for (const auto& [ref, record] : store.records) {
    if (record->idle() && record->entry.freshness().store_is_down() && MayAsk(*record, now)) {
      waiting.push_back(record.get());
    }
  }
  AskTogether(waiting, false);
  lists_.RetryNow(store);
}

// The probe may have been another's question than the one that its reader waits for.
void Cache::Impl::ProbeFailed(Store& store) {
  const absl::Status error = StoreFailing(store.settings.name, store.queue->gate().last_error());
  for (const auto& [ref, record] : store.records) {
    if (record->waiters.empty() || record->phase == Record::Phase::kSent) continue;
    auto probers = record->waiters.Take([](const Waiter& waiter) { return waiter.came_for_probe; });
    for (Waiter& waiter : probers) {
      ready_.push_back([callback = std::move(waiter.callback), error] { callback(error); });
    }
    Touch(*record);
  }
  lists_.ProbeFailed(store, error);
}

void Cache::Impl::StoreChanged(Store& store, const providers::ChangeSet& changes) {
  if (stage_ != Stage::kRunning) return;
  lists_.Invalidate(store, changes);
  std::vector<Record*> concerned;
  if (changes.everything) {
    for (const auto& [ref, record] : store.records) {
      if (RecordChanged(*record)) concerned.push_back(record.get());
    }
  }
  for (const std::string& key : changes.keys) {
    auto place = store.records.lower_bound({key, ""});
    for (; place != store.records.end() && place->first.key == key; ++place) {
      if (RecordChanged(*place->second)) concerned.push_back(place->second.get());
    }
  }
  AskTogether(concerned, true);
}

bool Cache::Impl::RecordChanged(Record& record) {
  if (!record.asked) return false;
  Touch(record);
  if (record.phase == Record::Phase::kSent || record.phase == Record::Phase::kRenewing) {
    record.ask_again = true;
  }
  if (!record.idle()) return false;
  const MonotonicTime now = environment_.Now();
  if (MayAsk(record, now)) return true;
  // Nobody is told and nobody waits: the next reader asks.
  if (record.interests.empty()) record.entry.Evict();
  record.entry.MarkStale(now);
  return false;
}

void Cache::Impl::RunAgenda(Store& store) {
  const MonotonicTime now = environment_.Now();
  Duration window{};
  std::vector<Record*> due;
  while (!store.agenda.empty() && store.agenda.begin()->first <= now) {
    Record& record = *store.agenda.begin()->second;
    SetAgenda(record, std::nullopt);
    Touch(record);
    if (!record.idle() || !MayAsk(record, now) || record.entry.AskAt() > now) continue;
    if (record.entry.healthy()) window = std::max(window, WindowOf(record));
    due.push_back(&record);
  }
  for (const auto& [time, record] : store.agenda) {
    if (window == Duration(0) || time > SaturatingAdd(now, window)) break;
    if (record->idle() && record->entry.healthy() && record->entry.current_lease() == nullptr &&
        MayAsk(*record, now) && record->entry.AskAt() <= now + WindowOf(*record)) {
      due.push_back(record);
    }
  }
  AskTogether(due, false);
}

}  // namespace secretfs::cache
