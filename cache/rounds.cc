// Cache::Impl: records that move together although the store is asked for each of them alone.

#include <utility>

#include "cache/cache_impl.h"

namespace secretfs::cache {
namespace {

// News are held back no longer than this: one slow answer must not delay the others.
constexpr Duration kLongestHold = std::chrono::milliseconds(250);

}  // namespace

void Cache::Impl::AskTogether(const std::vector<Record*>& records, bool fetch_anew) {
  std::shared_ptr<Round> round;
  for (Record* record : records) {
    Ask(*record, fetch_anew);
    const bool joins = record->phase == Record::Phase::kQueued && record->round == nullptr;
    if (!joins || records.size() == 1) continue;
    if (round == nullptr) {
      round = std::make_shared<Round>(environment_, [this](Round& late) { EndRound(late); });
    }
    ++round->outstanding;
    record->round = round;
  }
}

void Cache::Impl::LeaveRound(Record& record) {
  const std::shared_ptr<Round> round = std::exchange(record.round, nullptr);
  if (round == nullptr) return;
  --round->outstanding;
  if (round->outstanding == 0) return EndRound(*round);
  if (record.held_in != nullptr || record.interests.empty()) return;
  if (round->held.empty()) round->timer.SetFor(environment_.Now() + kLongestHold);
  round->held.push_back(&record);
  record.held_in = round;
}

void Cache::Impl::EndRound(Round& round) {
  round.timer.Cancel();
  // The records may be all that owns the round.
  const std::vector<Record*> held = std::exchange(round.held, {});
  for (Record* record : held) {
    record->held_in.reset();
    Touch(*record);
  }
}

}  // namespace secretfs::cache
