// Cache::Impl: giving back what stores gave us: leases when nobody needs them, everything at the
// end.

#include <utility>

#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/kept_secret.h"
#include "cache/messages.h"

namespace secretfs::cache {
namespace {

// Revocations while the cache goes on; at shutdown its deadline counts.
constexpr Duration kRevokeTimeout = std::chrono::seconds(10);

}  // namespace

void Cache::Impl::Revoke(Store& store, const providers::Lease& lease) {
  const MonotonicTime deadline = stage_ == Stage::kRunning
                                     ? SaturatingAdd(environment_.Now(), kRevokeTimeout)
                                     : shutdown_deadline_;
  calls_.Start<absl::Status>(
      CallRevoke(store.settings.provider, lease, providers::RequestContext{deadline}), deadline,
      [name = store.settings.name](const absl::Status& status) {
        if (status.ok()) return;
        Log().warn("a lease of store \"{}\" could not be revoked and ends by itself: {}", name,
                   status);
      });
}

void Cache::Impl::ReleaseLeases(Record& record) {
  const bool current = record.entry.current_lease() != nullptr;
  for (const providers::Lease& lease : record.entry.TakeLeases(environment_.Now())) {
    Revoke(record.store, lease);
  }
  // A credential whose lease was given back is worth nothing to the next reader.
  if (current) record.entry.Evict();
  Touch(record);
}

// What runs is cancelled, everybody who waits is told, and leases are given back; when all of that
// has come to an end, the providers are closed. At a hand-over the next server answers, and has the
// leases and the tokens that they depend on.
void Cache::Impl::Shutdown(Duration deadline, Ending ending, std::function<void()> done) {
  if (stage_ == Stage::kClosed) return done();
  shutdown_done_.push_back(std::move(done));
  if (stage_ != Stage::kRunning) return;
  if (ending == Ending::kHandOver) {
    for (Record* record : touched_) Keep(*record);
    ready_.clear();
  } else if (environment_.options.kept != nullptr) {
    // Before the leases end: what is kept must not be a credential that is not valid any more.
    environment_.options.kept->EraseAllBelow(kKeptPrefix);
  }
  stage_ = Stage::kRevoking;
  ending_ = ending;
  shutdown_deadline_ = SaturatingAdd(environment_.Now(), deadline);
  shutdown_timer_.SetFor(shutdown_deadline_);
  calls_.CancelAll();
  for (Store* store : AllStores()) StopStore(*store);
  lists_.Shutdown(ending == Ending::kHandOver ? absl::OkStatus() : ShutDown());
  calls_.set_on_idle([this] { CloseProviders(); });
  if (calls_.running() == 0) CloseProviders();
}

void Cache::Impl::StopStore(Store& store) {
  store.watch->Stop();
  store.queue->Close();
  for (const auto& [ref, record] : store.records) {
    SetAgenda(*record, std::nullopt);
    if (record->held_in != nullptr) EndRound(*record->held_in);
    auto waiting = record->waiters.Take([](const Waiter&) { return true; });
    if (ending_ == Ending::kHandOver) continue;
    for (Waiter& waiter : waiting) waiter.callback(ShutDown());
    ReleaseLeases(*record);
  }
  store.agenda_timer->Cancel();
}

void Cache::Impl::CloseProviders() {
  if (stage_ == Stage::kClosing) return FinishShutdown();
  if (stage_ != Stage::kRevoking) return;
  stage_ = Stage::kClosing;
  // A token that is given back ends the leases made with it.
  if (ending_ == Ending::kHandOver) return FinishShutdown();
  for (Store* store : AllStores()) {
    const std::string& name = store->settings.name;
    calls_.Start<absl::Status>(
        CallClose(store->settings.provider, providers::RequestContext{shutdown_deadline_}),
        shutdown_deadline_, [name](const absl::Status& status) {
          if (!status.ok()) Log().warn("store \"{}\" did not close: {}", name, status);
        });
  }
  if (calls_.running() == 0) FinishShutdown();
}

void Cache::Impl::FinishShutdown() {
  if (stage_ == Stage::kClosed) return;
  stage_ = Stage::kClosed;
  shutdown_timer_.Cancel();
  calls_.CancelAll();
  for (const auto& done : std::exchange(shutdown_done_, {})) done();
}

}  // namespace secretfs::cache
