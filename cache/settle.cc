// Cache::Impl: the end of each turn of the I/O thread.

#include <algorithm>
#include <map>
#include <utility>

#include "cache/cache_impl.h"

namespace secretfs::cache {

void Cache::Impl::Touch(Record& record) {
  if (std::exchange(record.touched, true)) return;
  touched_.push_back(&record);
  if (std::exchange(settle_posted_, true)) return;
  environment_.Post([this] { Settle(); });
}

void Cache::Impl::Settle() {
  settle_posted_ = false;
  // After a hand-over nobody hears from us any more.
  if (stage_ != Stage::kRunning && ending_ == Ending::kHandOver) return;
  CatchUp();
  const std::vector<Record*> records = std::exchange(touched_, {});
  const MonotonicTime now = environment_.Now();
  for (Record* record : records) {
    record->touched = false;
    record->entry.AdvanceTo(now);
    Keep(*record);
  }
  NotifyListeners(records);
  for (const auto& callback : std::exchange(ready_, {})) callback();
  for (Record* record : records) Reconsider(*record);
  EvictSurplus();
}

void Cache::Impl::NotifyListeners(const std::vector<Record*>& records) {
  // In the order in which the first change of each listener came.
  std::vector<std::pair<Listeners::HandlePtr, std::vector<EntrySnapshot>>> news;
  std::map<const Listeners::Handle*, size_t> places;
  for (Record* record : records) {
    if (record->held_in != nullptr) continue;
    EntrySnapshot snapshot = SnapshotOf(*record);
    // That a question is on its way is no news: what readers get has not changed.
    if (snapshot.state == EntryState::kFetching) snapshot.state = EntryState::kAbsent;
    Record::Notified notified{snapshot.state, snapshot.secret.get(),
                              snapshot.secret == nullptr ? "" : snapshot.secret->version,
                              snapshot.last_error, snapshot.fetched_at};
    if (notified == record->notified) continue;
    record->notified = std::move(notified);
    for (const RecordInterest& interest : record->interests) {
      if (interest.listener == nullptr) continue;
      const auto [place, inserted] = places.emplace(interest.listener.get(), news.size());
      if (inserted) news.emplace_back(interest.listener, std::vector<EntrySnapshot>());
      std::vector<EntrySnapshot>& entries = news[place->second].second;
      if (entries.empty() || entries.back().key != snapshot.key) entries.push_back(snapshot);
    }
  }
  for (const auto& [listener, entries] : news) listener->Call(entries);
}

void Cache::Impl::Reconsider(Record& record) {
  if (record.touched || stage_ != Stage::kRunning) return;  // a later Settle does it, or nobody
  const MonotonicTime now = environment_.Now();
  UpdateEviction(record);
  const std::optional<MonotonicTime> next = NextLook(record, now);
  const bool unused = record.interests.empty() && record.waiters.empty() && record.idle() &&
                      record.held_in == nullptr;
  if (unused && !next.has_value() && !record.entry.holds_leases()) return Erase(record);
  SetAgenda(record, next);
}

std::optional<MonotonicTime> Cache::Impl::NextLook(const Record& record, MonotonicTime now) const {
  const Entry& entry = record.entry;
  const Freshness& freshness = entry.freshness();
  if (record.interests.empty() && record.waiters.empty()) {
    // Kept only for as long as it saves somebody a request.
    if (!record.idle()) return std::nullopt;
    const MonotonicTime until =
        entry.has_value() ? freshness.StaleUntil(entry.policy()) : freshness.negative_until();
    if (until > now) return until;
    return std::nullopt;
  }
  std::optional<MonotonicTime> next = entry.NextBoundary(now);
  if (record.idle() && MayAsk(record, now)) {
    const MonotonicTime ask_at = std::max(entry.AskAt(), now);
    if (!next.has_value() || ask_at < *next) next = ask_at;
  }
  if (next == MonotonicTime::max()) next.reset();
  return next;
}

void Cache::Impl::SetAgenda(Record& record, std::optional<MonotonicTime> time) {
  Store& store = record.store;
  if (record.agenda_time != time) {
    if (record.agenda_time.has_value()) store.agenda.erase({*record.agenda_time, &record});
    if (time.has_value()) store.agenda.emplace(*time, &record);
    record.agenda_time = time;
  }
  if (store.agenda.empty()) {
    store.agenda_timer->Cancel();
  } else {
    store.agenda_timer->SetFor(store.agenda.begin()->first);
  }
}

void Cache::Impl::UpdateEviction(Record& record) {
  const size_t bytes = record.entry.bytes();
  bytes_ = bytes_ - record.counted_bytes + bytes;
  record.counted_bytes = bytes;
  const bool evictable = record.entry.has_value() && !record.pinned();
  if (evictable && !record.lru_place.has_value()) {
    record.lru_place = evictable_.insert(evictable_.begin(), &record);
  } else if (!evictable && record.lru_place.has_value()) {
    evictable_.erase(*record.lru_place);
    record.lru_place.reset();
  }
}

void Cache::Impl::EvictSurplus() {
  auto place = evictable_.end();
  while (bytes_ > environment_.options.byte_limit && place != evictable_.begin()) {
    Record& record = **std::prev(place);
    if (!record.idle() || !record.waiters.empty()) {
      --place;
      continue;
    }
    record.entry.Evict();
    // It is fetched again when somebody reads it, not before.
    record.asked = false;
    UpdateEviction(record);
    Touch(record);
  }
}

void Cache::Impl::Erase(Record& record) {
  SetAgenda(record, std::nullopt);
  record.entry.Evict();
  UpdateEviction(record);
  record.store.records.erase(record.entry.key().ref);
}

}  // namespace secretfs::cache
