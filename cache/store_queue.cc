#include "cache/store_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cache/messages.h"

namespace secretfs::cache {
namespace {

StoreGate::Limits LimitsOf(const CacheOptions& options, const StoreSettings& settings) {
  return {.concurrent_requests = settings.concurrent_requests,
          .requests_per_second = settings.requests_per_second,
          .breaker_failures = options.circuit_breaker_failures,
          .backoff_first = options.backoff_first,
          .backoff_most = options.backoff_most};
}

// How a batch counts for the store: it is up if it answered for any secret.
absl::Status Overall(const FetchResults& results) {
  for (const auto& result : results) {
    if (result.ok() || !IsTransient(result.status())) return absl::OkStatus();
  }
  return results.empty() ? absl::OkStatus() : results.front().status();
}

}  // namespace

StoreQueue::StoreQueue(Environment& environment, StoreCalls& calls, const StoreSettings& settings,
                       const providers::Capabilities& capabilities, Callbacks callbacks)
    : environment_(environment),
      calls_(calls),
      name_(settings.name),
      provider_(settings.provider),
      batch_size_(std::max<size_t>(1, capabilities.batch_size)),
      callbacks_(std::move(callbacks)),
      gate_(LimitsOf(environment.options, settings)),
      pump_timer_(environment, [this] { Pump(); }) {}

void StoreQueue::AddFetch(Fetch fetch) {
  if (collecting_.empty()) environment_.Post([this] { Flush(); });
  collecting_.push_back(std::move(fetch));
}

void StoreQueue::AddTask(std::function<void(Ticket)> start) {
  waiting_.emplace_back(std::move(start));
  environment_.Post([this] { Pump(); });
}

void StoreQueue::TaskDone(Ticket ticket, const absl::Status& status) {
  Finished(ticket.started, status);
  Pump();
}

void StoreQueue::Close() {
  closed_ = true;
  collecting_.clear();
  waiting_.clear();
  pump_timer_.Cancel();
}

void StoreQueue::ProbeNow() {
  gate_.ProbeNow(environment_.Now());
  if (!waiting_.empty()) environment_.Post([this] { Pump(); });
}

void StoreQueue::Flush() {
  Batch all = std::exchange(collecting_, {});
  for (size_t begin = 0; begin < all.size(); begin += batch_size_) {
    const size_t end = std::min(all.size(), begin + batch_size_);
    waiting_.emplace_back(Batch(std::make_move_iterator(all.begin() + begin),
                                std::make_move_iterator(all.begin() + end)));
  }
  Pump();
}

void StoreQueue::Pump() {
  pump_timer_.Cancel();
  while (!closed_ && !waiting_.empty()) {
    const MonotonicTime now = environment_.Now();
    const StoreGate::Admission admission = gate_.Ask(now);
    if (!admission.admitted) {
      if (admission.at.has_value()) pump_timer_.SetFor(*admission.at);
      return;
    }
    if (Task* task = std::get_if<Task>(&waiting_.front()); task != nullptr) {
      const Task start = std::move(*task);
      waiting_.pop_front();
      gate_.Started(now);
      start(Ticket{now});
      continue;
    }
    if (Batch batch = TakeBatch(); !batch.empty()) Send(std::move(batch));
  }
}

StoreQueue::Batch StoreQueue::TakeBatch() {
  Batch result;
  while (!waiting_.empty()) {
    Batch* next = std::get_if<Batch>(&waiting_.front());
    if (next == nullptr) break;
    // Nobody may want it any more: readers gave up, the mount went.
    std::erase_if(*next, [this](const Fetch& fetch) { return !callbacks_.wanted(fetch.record); });
    if (result.size() + next->size() > batch_size_) break;
    std::move(next->begin(), next->end(), std::back_inserter(result));
    waiting_.pop_front();
  }
  return result;
}

void StoreQueue::Send(Batch batch) {
  const MonotonicTime now = environment_.Now();
  gate_.Started(now);
  std::vector<providers::SecretRef> refs;
  Duration timeout{};
  for (const Fetch& fetch : batch) {
    refs.push_back(fetch.ref);
    timeout = std::max(timeout, fetch.timeout);
    callbacks_.sent(fetch.record);
  }
  const providers::RequestContext context{SaturatingAdd(now, timeout)};
  calls_.Start<FetchResults>(CallFetch(provider_, std::move(refs), context), context.deadline,
                             [this, batch = std::move(batch), now](FetchResults results) {
                               Answered({batch, std::move(results), now});
                             });
}

void StoreQueue::Answered(Answers answers) {
  Finished(answers.started, Overall(answers.results));
  callbacks_.answered(std::move(answers));
  Pump();
}

void StoreQueue::Finished(MonotonicTime started, const absl::Status& status) {
  const bool was_broken = gate_.broken();
  const bool was_probing = gate_.probing();
  const bool recovered =
      gate_.Finished(environment_.Now(), started, status, environment_.random.Uniform());
  if (!was_broken && gate_.broken()) {
    Log().warn("store \"{}\" keeps failing and is only probed from now on: {}", name_, status);
  }
  if (recovered) {
    Log().info("store \"{}\" answers again", name_);
    callbacks_.recovered();
  }
  if (was_probing && !gate_.probing() && gate_.broken()) callbacks_.probe_failed();
}

}  // namespace secretfs::cache
