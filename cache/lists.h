#pragma once

// The listings of all stores: cached for a TTL, one walk over the pages for however many callers,
// served stale while a new one is fetched or while the store is down. Unlike entries, listings are
// fetched only when somebody asks.
//
// Thread-safety: I/O thread only.

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/environment.h"
#include "cache/freshness.h"
#include "cache/record.h"
#include "cache/waiters.h"

namespace secretfs::cache {

class Lists {
 public:
  Lists(Environment& environment, StoreCalls& calls) : environment_(environment), calls_(calls) {}
  Lists(const Lists&) = delete;
  Lists& operator=(const Lists&) = delete;

  void Get(Store& store, std::string prefix, const Policy& policy, bool force,
           Cache::ListCallback callback);
  // Something changed in the store: the listings that may show it are not served any more, except
  // while the store is down.
  void Invalidate(const Store& store, const providers::ChangeSet& changes);
  // The store answers again: retries come now.
  void RetryNow(const Store& store);
  // The store was probed and is still down: who came for the probe gets `error`.
  void ProbeFailed(const Store& store, const absl::Status& error);
  // Everybody who waits gets `status`, or hears nothing any more if it is OK.
  void Shutdown(const absl::Status& status);

 private:
  using Entries = std::vector<providers::ListEntry>;

  // Invariants. `entries` is set exactly while `freshness` has a value. A listing is dropped only
  // when nothing runs and nobody waits for it.
  struct Listing {
    Listing(Environment& environment, Store& its_store, std::string its_prefix)
        : store(its_store), prefix(std::move(its_prefix)), waiters(environment) {}
    Store& store;
    const std::string prefix;
    Policy policy;
    Freshness freshness;
    std::shared_ptr<const Entries> entries;
    Waiters<Entries> waiters;
    std::unique_ptr<Timer> retry;
    bool running = false;
    uint64_t walks_started = 0;
    bool changed_meanwhile = false;
    int failures_while_awaited = 0;
    std::list<Listing*>::iterator place;  // in recent_
  };
  using ListingKey = std::pair<StoreId, std::string>;

  Listing& Find(Store& store, const std::string& prefix);
  void Restore(Listing& listing);
  void Keep(const Listing& listing);
  void Start(Listing& listing);
  void Walk(Listing& listing, StoreQueue::Ticket ticket);
  void Done(Listing& listing, absl::StatusOr<Entries> result);
  void Late(Listing& listing, Waiters<Entries>::Waiter waiter);
  void DropUnused();

  Environment& environment_;
  StoreCalls& calls_;
  bool closed_ = false;
  std::map<ListingKey, std::unique_ptr<Listing>> listings_;
  std::list<Listing*> recent_;  // most recently used first
};

}  // namespace secretfs::cache
