#include "cache/lists.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"
#include "cache/kept_secret.h"
#include "cache/messages.h"

namespace secretfs::cache {
namespace {

constexpr size_t kMostListings = 4096;

// Whether a change of `key` may show in the listing of `prefix`.
bool Concerns(const std::string& key, const std::string& prefix) {
  return prefix.empty() ||
         (key.starts_with(prefix) && (key.size() == prefix.size() || key[prefix.size()] == '/'));
}

}  // namespace

Lists::Listing& Lists::Find(Store& store, const std::string& prefix) {
  std::unique_ptr<Listing>& listing = listings_[{store.id, prefix}];
  if (listing == nullptr) {
    listing = std::make_unique<Listing>(environment_, store, prefix);
    listing->retry = std::make_unique<Timer>(environment_, [this, raw = listing.get()] {
      if (!raw->waiters.empty()) Start(*raw);
    });
    listing->place = recent_.insert(recent_.begin(), listing.get());
    Restore(*listing);
  }
  recent_.splice(recent_.begin(), recent_, listing->place);
  return *listing;
}

// --- What outlives this process: every listing that is there.

void Lists::Restore(Listing& listing) {
  KeptValues* const kept = environment_.options.kept;
  if (kept == nullptr) return;
  const std::string name = KeptListingName(listing.store.settings, listing.prefix);
  const std::optional<SecretBytes> bytes = kept->Get(name);
  if (!bytes.has_value()) return;
  std::optional<SavedListing> saved = ReadKeptListing(bytes->bytes(), environment_.Now());
  if (!saved.has_value()) return kept->Erase(name);
  // No policy is known yet: an error is remembered no longer than by default.
  saved->freshness.negative_until = std::min(
      saved->freshness.negative_until, SaturatingAdd(environment_.Now(), Policy().negative_ttl));
  saved->freshness.bound_alone = false;
  listing.freshness.set_state(std::move(saved->freshness));
  listing.entries = std::move(saved->entries);
  // A watch would have said whether it changed; nobody listened since.
  if (listing.store.capabilities.watch) listing.freshness.MarkStale(environment_.Now());
}

void Lists::Keep(const Listing& listing) {
  KeptValues* const kept = environment_.options.kept;
  if (kept == nullptr) return;
  const std::string name = KeptListingName(listing.store.settings, listing.prefix);
  if (listing.entries == nullptr) return kept->Erase(name);
  const SecretBytes bytes = WriteKeptListing({listing.freshness.state(), listing.entries});
  (void)kept->Put(name, bytes.bytes());  // one that does not fit is fetched again
}

void Lists::Get(Store& store, std::string prefix, const Policy& policy, bool force,
                Cache::ListCallback callback) {
  if (!store.capabilities.list) {
    return callback(absl::UnimplementedError(
        ToAbsl(Format("store \"{}\" cannot list names", store.settings.name))));
  }
  store.watch->EnsureStarted();
  Listing& listing = Find(store, prefix);
  listing.policy = policy;
  const MonotonicTime now = environment_.Now();
  const ReadDecision decision = force ? ReadDecision::kAsk : listing.freshness.Decide(now, policy);
  const StoreGate& gate = store.queue->gate();
  if (decision == ReadDecision::kFail) {
    return callback(listing.freshness.last_error());
  }
  if (decision != ReadDecision::kAsk) {
    const bool backing_off =
        listing.freshness.store_is_down() &&
        now < listing.freshness.failed_at() + environment_.options.backoff_first;
    if (decision == ReadDecision::kServeAndAsk && !backing_off) Start(listing);
    return callback(*listing.entries);
  }
  if (force || gate.ProbeDueAt(now)) {
    store.queue->ProbeNow();
  } else if (gate.broken()) {
    return callback(StoreFailing(store.settings.name, gate.last_error()));
  }
  const uint64_t needs =
      listing.running && !force ? listing.walks_started : listing.walks_started + 1;
  if (listing.waiters.empty()) listing.failures_while_awaited = 0;
  listing.waiters.Add({.needs = needs,
                       .forced = force,
                       .came_for_probe = gate.broken(),
                       .callback = std::move(callback)},
                      policy.deadline, [this, &listing](Waiters<Entries>::Waiter waiter) {
                        Late(listing, std::move(waiter));
                      });
  Start(listing);
  DropUnused();
}

void Lists::Start(Listing& listing) {
  if (listing.running || closed_) return;
  listing.retry->Cancel();
  listing.running = true;
  ++listing.walks_started;
  listing.changed_meanwhile = false;
  listing.store.queue->AddTask(
      [this, &listing](StoreQueue::Ticket ticket) { Walk(listing, ticket); });
}

void Lists::Walk(Listing& listing, StoreQueue::Ticket ticket) {
  const providers::RequestContext context{
      SaturatingAdd(environment_.Now(), listing.policy.deadline)};
  calls_.Start<absl::StatusOr<Entries>>(
      CallList(listing.store.settings.provider, listing.prefix, context), context.deadline,
      [this, &listing, ticket](absl::StatusOr<Entries> result) {
        StoreQueue& queue = *listing.store.queue;
        const absl::Status status = result.status();
        Done(listing, std::move(result));
        queue.TaskDone(ticket, status);
      });
}

void Lists::Done(Listing& listing, absl::StatusOr<Entries> result) {
  if (closed_) return;
  const Moment now = environment_.NowOnBoth();
  listing.running = false;
  Freshness& freshness = listing.freshness;
  if (result.ok()) {
    listing.entries = std::make_shared<const Entries>(*std::move(result));
    freshness.Succeed(now, Duration::max(), false);
    if (listing.changed_meanwhile) freshness.MarkExpired();
    listing.failures_while_awaited = 0;
  } else {
    freshness.Fail(now.monotonic, result.status(), listing.policy);
    ++listing.failures_while_awaited;
    if (!IsTransient(result.status())) {
      // The prefix is gone, or is not ours to see.
      freshness.Clear();
      listing.entries.reset();
    }
  }
  Keep(listing);
  // What changed meanwhile does not concern those who asked before: they get what they asked for.
  const bool usable =
      listing.entries != nullptr &&
      (freshness.last_error().ok() || freshness.UsableAt(now.monotonic, listing.policy));
  const bool transient = freshness.store_is_down();
  auto done = listing.waiters.Take([&](const Waiters<Entries>::Waiter& waiter) {
    return waiter.needs <= listing.walks_started && (usable || !transient || waiter.came_for_probe);
  });
  if (listing.waiters.NeedMoreThan(listing.walks_started)) {
    Start(listing);
  } else if (!listing.waiters.empty()) {
    const Duration backoff = environment_.Backoff(std::max(1, listing.failures_while_awaited));
    const Duration asked =
        RetryAfter(freshness.last_error()).value_or(std::chrono::milliseconds(0));
    listing.retry->SetFor(SaturatingAdd(now.monotonic, std::max(backoff, asked)));
  }
  const std::shared_ptr<const Entries> entries = listing.entries;
  const absl::Status error = freshness.last_error();
  for (auto& waiter : done) {
    // A forced listing says so when the store could not be asked.
    if (usable && (error.ok() || !waiter.forced)) {
      waiter.callback(*entries);
    } else {
      waiter.callback(error);
    }
  }
}

void Lists::Late(Listing& listing, Waiters<Entries>::Waiter waiter) {
  const bool usable =
      !waiter.forced && listing.freshness.UsableIfDownAt(environment_.Now(), listing.policy);
  if (usable) return waiter.callback(*listing.entries);
  waiter.callback(NoAnswer(listing.store.settings.name, listing.prefix, listing.policy.deadline,
                           listing.freshness.last_error()));
}

void Lists::Invalidate(const Store& store, const providers::ChangeSet& changes) {
  for (auto& [key, listing] : listings_) {
    if (key.first != store.id) continue;
    const bool concerned =
        changes.everything ||
        std::any_of(changes.keys.begin(), changes.keys.end(),
                    [&](const std::string& changed) { return Concerns(changed, listing->prefix); });
    if (!concerned) continue;
    listing->freshness.MarkExpired();
    listing->freshness.ForgetNegative();
    listing->changed_meanwhile = true;
  }
}

void Lists::RetryNow(const Store& store) {
  for (auto& [key, listing] : listings_) {
    if (key.first == store.id && !listing->waiters.empty()) Start(*listing);
  }
}

void Lists::ProbeFailed(const Store& store, const absl::Status& error) {
  for (auto& [key, listing] : listings_) {
    if (key.first != store.id || listing->waiters.empty()) continue;
    auto probers = listing->waiters.Take(
        [](const Waiters<Entries>::Waiter& waiter) { return waiter.came_for_probe; });
    for (auto& waiter : probers) waiter.callback(error);
  }
}

void Lists::DropUnused() {
  while (recent_.size() > kMostListings) {
    Listing* oldest = recent_.back();
    if (oldest->running || !oldest->waiters.empty()) return;
    oldest->retry->Cancel();
    oldest->entries.reset();
    Keep(*oldest);
    recent_.pop_back();
    listings_.erase({oldest->store.id, oldest->prefix});
  }
}

void Lists::Shutdown(const absl::Status& status) {
  closed_ = true;
  for (auto& [key, listing] : listings_) {
    listing->retry->Cancel();
    auto waiting = listing->waiters.Take([](const auto&) { return true; });
    if (status.ok()) continue;
    for (auto& waiter : waiting) waiter.callback(status);
  }
}

}  // namespace secretfs::cache
