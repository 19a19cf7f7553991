#include "cache/cache.h"

#include <utility>

#include "cache/cache_impl.h"
#include "cache/messages.h"

namespace secretfs::cache {

// --- Interest

Interest::Interest(Interest&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), id_(std::exchange(other.id_, 0)) {}

Interest& Interest::operator=(Interest&& other) noexcept {
  Interest old = std::move(*this);
  cache_ = std::exchange(other.cache_, nullptr);
  id_ = std::exchange(other.id_, 0);
  return *this;
}

Interest::~Interest() {
  if (cache_ == nullptr) return;
  Cache::Impl* impl = cache_->impl_.get();
  impl->environment().Post([impl, id = id_] { impl->DropInterest(id); });
}

// --- Cache: every function posts its body to the I/O thread, guarded by the lifetime.

Cache::Cache(CacheOptions options, asio::io_context& context, const Clock& clock,
             Scheduler& scheduler, Random& random)
    : impl_(std::make_shared<Impl>(options, context, clock, scheduler, random)) {}

Cache::~Cache() { impl_->environment().lifetime->End(); }

StoreId Cache::AddStore(StoreSettings settings) { return impl_->AddStore(std::move(settings)); }

providers::Capabilities Cache::StoreCapabilities(StoreId store) const {
  const Store* found = impl_->FindStore(store);
  return found == nullptr ? providers::Capabilities() : found->capabilities;
}

std::string Cache::StoreName(StoreId store) const {
  const Store* found = impl_->FindStore(store);
  return found == nullptr ? std::string() : found->settings.name;
}

Interest Cache::AddInterest(EntryKey key, Policy policy, bool pinned, Listener* listener) {
  const uint64_t id = impl_->NewInterestId();
  RecordInterest interest{id, policy, pinned, impl_->listeners().Find(listener)};
  impl_->environment().Post([impl = impl_.get(), key = std::move(key),
                             interest = std::move(interest)] { impl->AddInterest(key, interest); });
  return Interest(this, id);
}

void Cache::RemoveListener(Listener* listener) { impl_->listeners().Remove(listener); }

void Cache::Read(EntryKey key, ReadCallback callback) {
  impl_->environment().Post(
      [impl = impl_.get(), key = std::move(key), callback = std::move(callback)]() mutable {
        impl->Read(key, std::move(callback));
      });
}

void Cache::Prefetch(std::vector<EntryKey> keys) {
  impl_->environment().Post([impl = impl_.get(), keys = std::move(keys)] { impl->Prefetch(keys); });
}

void Cache::Refresh(EntryKey key, ReadCallback callback) {
  impl_->environment().Post(
      [impl = impl_.get(), key = std::move(key), callback = std::move(callback)]() mutable {
        impl->Refresh(key, std::move(callback));
      });
}

void Cache::List(StoreId store, std::string prefix, Policy policy, bool force,
                 ListCallback callback) {
  impl_->environment().Post([impl = impl_.get(), store, prefix = std::move(prefix), policy, force,
                             callback = std::move(callback)]() mutable {
    impl->List(store, std::move(prefix), policy, force, std::move(callback));
  });
}

void Cache::Status(std::function<void(std::vector<EntrySnapshot>)> callback) {
  impl_->environment().Post(
      [impl = impl_.get(), callback = std::move(callback)] { impl->Status(callback); });
}

void Cache::Shutdown(Duration deadline, std::function<void()> done) {
  impl_->environment().Post([impl = impl_.get(), deadline, done = std::move(done)]() mutable {
    impl->Shutdown(deadline, Impl::Ending::kForGood, std::move(done));
  });
}

void Cache::HandOver(Duration deadline, std::function<void()> done) {
  impl_->environment().Post([impl = impl_.get(), deadline, done = std::move(done)]() mutable {
    impl->Shutdown(deadline, Impl::Ending::kHandOver, std::move(done));
  });
}

void Cache::ForgetUnclaimed() {
  impl_->environment().Post([impl = impl_.get()] { impl->ForgetUnclaimed(); });
}

// --- Impl: stores and interests

Cache::Impl::Impl(CacheOptions options, asio::io_context& context, const Clock& clock,
                  Scheduler& scheduler, Random& random)
    : environment_{options, context, clock, scheduler, random} {}

StoreId Cache::Impl::AddStore(StoreSettings settings) {
  absl::MutexLock lock(&stores_mutex_);
  for (const auto& store : stores_) {
    if (store->settings.name == settings.name && store->settings.identity == settings.identity) {
      return store->id;
    }
  }
  const StoreId id(static_cast<uint32_t>(stores_.size() + 1));
  auto owned = std::make_unique<Store>(id, std::move(settings));
  Store& store = *owned;
  store.queue = std::make_unique<StoreQueue>(
      environment_, calls_, store.settings, store.capabilities,
      StoreQueue::Callbacks{
          .wanted = [this](Record* record) { return StillWanted(*record); },
          .sent =
              [](Record* record) {
                record->phase = Record::Phase::kSent;
                ++record->asks_started;
                record->entry.FetchStarted();
              },
          .answered = [this](StoreQueue::Answers answers) { Answered(std::move(answers)); },
          .recovered = [this, &store] { Recovered(store); },
          .probe_failed = [this, &store] { ProbeFailed(store); }});
  store.watch = std::make_unique<StoreWatch>(
      environment_, calls_, store.settings,
      [this, &store](const providers::ChangeSet& changes) { StoreChanged(store, changes); });
  if (!store.capabilities.watch) store.watch->Stop();
  store.agenda_timer = std::make_unique<Timer>(environment_, [this, &store] { RunAgenda(store); });
  stores_.push_back(std::move(owned));
  return id;
}

Store* Cache::Impl::FindStore(StoreId id) const {
  absl::MutexLock lock(&stores_mutex_);
  if (id.value() == 0 || id.value() > stores_.size()) return nullptr;
  return stores_[id.value() - 1].get();
}

std::vector<Store*> Cache::Impl::AllStores() const {
  absl::MutexLock lock(&stores_mutex_);
  std::vector<Store*> result;
  for (const auto& store : stores_) result.push_back(store.get());
  return result;
}

Record* Cache::Impl::FindRecord(const EntryKey& key, const ReadCallback& callback) {
  Store* store = FindStore(key.store);
  if (stage_ != Stage::kRunning || store == nullptr) {
    const bool answers = store == nullptr || ending_ == Ending::kForGood;
    if (callback != nullptr && answers) {
      callback(store == nullptr ? absl::InvalidArgumentError("the cache has no such store")
                                : ShutDown());
    }
    return nullptr;
  }
  std::unique_ptr<Record>& record = store->records[key.ref];
  if (record == nullptr) record = std::make_unique<Record>(environment_, *store, key);
  return record.get();
}

void Cache::Impl::AddInterest(const EntryKey& key, RecordInterest interest) {
  Record* record = FindRecord(key, nullptr);
  if (record == nullptr) return;
  interests_[interest.id] = record;
  record->entry.set_policy(record->interests.empty()
                               ? interest.policy
                               : Stricter(record->entry.policy(), interest.policy));
  record->interests.push_back(std::move(interest));
  record->last_read = environment_.Now();
  record->store.watch->EnsureStarted();
  Restore(*record);
  Touch(*record);
}

void Cache::Impl::DropInterest(uint64_t id) {
  const auto found = interests_.find(id);
  if (found == interests_.end()) return;
  Record& record = *found->second;
  interests_.erase(found);
  // Whoever goes on after us still has it, or all has been given back.
  if (stage_ != Stage::kRunning) return;
  std::erase_if(record.interests,
                [id](const RecordInterest& interest) { return interest.id == id; });
  Policy policy;
  for (size_t i = 0; i < record.interests.size(); ++i) {
    const Policy& other = record.interests[i].policy;
    policy = i == 0 ? other : Stricter(policy, other);
  }
  record.entry.set_policy(policy);
  if (record.interests.empty()) {
    Keep(record);
    ReleaseLeases(record);
  }
  Touch(record);
}

void Cache::Impl::List(StoreId id, std::string prefix, const Policy& policy, bool force,
                       ListCallback callback) {
  Store* store = FindStore(id);
  if (store == nullptr) return callback(absl::InvalidArgumentError("the cache has no such store"));
  if (stage_ != Stage::kRunning) {
    if (ending_ == Ending::kForGood) callback(ShutDown());
    return;
  }
  lists_.Get(*store, std::move(prefix), policy, force, std::move(callback));
}

void Cache::Impl::Status(const std::function<void(std::vector<EntrySnapshot>)>& callback) {
  std::vector<EntrySnapshot> all;
  for (const Store* store : AllStores()) {
    for (const auto& [ref, record] : store->records) all.push_back(SnapshotOf(*record));
  }
  callback(std::move(all));
}

EntrySnapshot Cache::Impl::SnapshotOf(const Record& record) const {
  const Moment now = environment_.NowOnBoth();
  std::optional<MonotonicTime> next;
  if (record.idle() && record.asked && MayAsk(record, now.monotonic)) {
    next = std::max(record.entry.AskAt(), now.monotonic);
  }
  if (next == MonotonicTime::max()) next.reset();
  return record.entry.SnapshotAt(now, !record.idle(), next);
}

}  // namespace secretfs::cache
