#include "tests/fakes/fake_provider.h"

#include <algorithm>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "base/text.h"

namespace secretfs::fakes {

using providers::Lease;
using providers::ListEntry;
using providers::ListPage;
using providers::RequestContext;
using providers::Secret;
using providers::SecretPtr;
using providers::SecretRef;

FakeProvider::FakeProvider(providers::Capabilities capabilities) : capabilities_(capabilities) {}
FakeProvider::~FakeProvider() = default;

// --- what the store holds

void FakeProvider::Set(std::string_view key, std::string_view value, Extras extras) {
  absl::MutexLock lock(&mutex_);
  const int number = ++versions_made_[std::string(key)];
  if (extras.version.empty()) extras.version = std::to_string(number);
  secrets_[std::string(key)].push_back({std::string(value), std::move(extras)});
  key_failures_.erase(std::string(key));
  Notify(key);
}

void FakeProvider::Remove(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  secrets_.erase(std::string(key));
  Notify(key);
}

// --- how it behaves

void FakeProvider::Fail(std::string_view key, absl::Status status, int times) {
  absl::MutexLock lock(&mutex_);
  key_failures_[std::string(key)] = {std::move(status), times};
}

void FakeProvider::FailCalls(absl::Status status, int times) {
  absl::MutexLock lock(&mutex_);
  call_failure_ = {std::move(status), times};
}

void FakeProvider::FailRenewals(absl::Status status, int times) {
  absl::MutexLock lock(&mutex_);
  renewal_failure_ = {std::move(status), times};
}

void FakeProvider::GrantOnRenewal(std::optional<std::chrono::seconds> duration) {
  absl::MutexLock lock(&mutex_);
  renewal_grant_ = duration;
}

void FakeProvider::Heal() {
  absl::MutexLock lock(&mutex_);
  key_failures_.clear();
  call_failure_ = {};
  renewal_failure_ = {};
}

void FakeProvider::Hold() {
  absl::MutexLock lock(&mutex_);
  hold_all_ = true;
}

void FakeProvider::Release() {
  absl::MutexLock lock(&mutex_);
  hold_all_ = false;
  WakeParked();
}

void FakeProvider::HoldKey(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  held_keys_.insert(std::string(key));
}

void FakeProvider::ReleaseKey(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  held_keys_.erase(std::string(key));
  WakeParked();
}

void FakeProvider::set_page_size(size_t size) {
  absl::MutexLock lock(&mutex_);
  page_size_ = size;
}

void FakeProvider::set_notify_on_change(bool notify) {
  absl::MutexLock lock(&mutex_);
  notify_on_change_ = notify;
}

// --- watches

void FakeProvider::NotifyWatchers(providers::ChangeSet changes) {
  absl::MutexLock lock(&mutex_);
  NotifyLocked(changes);
}

void FakeProvider::EndWatches(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  watch_end_ = std::move(status);
  for (const auto& [number, watch] : watches_) {
    asio::post(watch->parked.executor, [timer = watch->parked.timer] { timer->cancel(); });
  }
}

void FakeProvider::Notify(std::string_view key) {
  if (notify_on_change_) NotifyLocked({.everything = false, .keys = {std::string(key)}});
}

void FakeProvider::NotifyLocked(const providers::ChangeSet& changes) {
  for (const auto& [number, watch] : watches_) {
    providers::ChangeSet mine = changes;
    std::erase_if(mine.keys,
                  [&watch](const std::string& key) { return !key.starts_with(watch->prefix); });
    if (!mine.everything && mine.keys.empty()) continue;
    asio::post(watch->parked.executor,
               [weak = std::weak_ptr<RunningWatch>(watch), mine = std::move(mine)] {
                 if (const auto running = weak.lock()) running->changed(mine);
               });
  }
}

// --- what was asked

std::vector<FakeProvider::FetchCall> FakeProvider::fetch_calls() const {
  absl::MutexLock lock(&mutex_);
  return fetch_calls_;
}

size_t FakeProvider::fetches_of(std::string_view key) const {
  absl::MutexLock lock(&mutex_);
  size_t count = 0;
  for (const FetchCall& call : fetch_calls_) {
    count += std::count_if(call.refs.begin(), call.refs.end(),
                           [key](const SecretRef& ref) { return ref.key == key; });
  }
  return count;
}

size_t FakeProvider::list_calls() const {
  absl::MutexLock lock(&mutex_);
  return list_calls_;
}

std::vector<std::string> FakeProvider::watched_prefixes() const {
  absl::MutexLock lock(&mutex_);
  return watched_prefixes_;
}

size_t FakeProvider::running_watches() const {
  absl::MutexLock lock(&mutex_);
  return watches_.size();
}

std::vector<std::string> FakeProvider::renewed() const {
  absl::MutexLock lock(&mutex_);
  return renewed_;
}

std::vector<std::string> FakeProvider::revoked() const {
  absl::MutexLock lock(&mutex_);
  return revoked_;
}

size_t FakeProvider::closes() const {
  absl::MutexLock lock(&mutex_);
  return closes_;
}

size_t FakeProvider::logins() const {
  absl::MutexLock lock(&mutex_);
  return logins_;
}

size_t FakeProvider::held() const {
  absl::MutexLock lock(&mutex_);
  return parked_.size();
}

size_t FakeProvider::most_in_flight() const {
  absl::MutexLock lock(&mutex_);
  return most_in_flight_;
}

size_t FakeProvider::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

// --- holding

bool FakeProvider::IsHeld(const std::vector<std::string>& keys) const {
  return hold_all_ || std::any_of(keys.begin(), keys.end(), [this](const std::string& key) {
           mutex_.AssertHeld();
           return held_keys_.contains(key);
         });
}

void FakeProvider::WakeParked() {
  for (const auto& [number, parked] : parked_) {
    if (IsHeld(parked.keys)) continue;
    asio::post(parked.executor, [timer = parked.timer] { timer->cancel(); });
  }
}

asio::awaitable<bool> FakeProvider::WaitWhileHeld(std::vector<std::string> keys) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto timer =
      std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (!IsHeld(keys)) co_return true;
    number = next_number_++;
    parked_[number] = {executor, timer, keys};
  }
  asio::error_code error;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  absl::MutexLock lock(&mutex_);
  parked_.erase(number);
  const bool cancelled = state.cancelled() != asio::cancellation_type::none;
  if (cancelled) ++cancelled_;
  co_return !cancelled;
}

// --- Provider

absl::Status FakeProvider::TakeFailure(Failure& failure) {
  if (failure.times == 0) return absl::OkStatus();
  if (failure.times > 0) --failure.times;
  return failure.status;
}

absl::StatusOr<SecretPtr> FakeProvider::Answer(const SecretRef& ref) {
  if (const auto failure = key_failures_.find(ref.key); failure != key_failures_.end()) {
    if (absl::Status status = TakeFailure(failure->second); !status.ok()) return status;
  }
  const auto found = secrets_.find(ref.key);
  if (found == secrets_.end()) {
    return absl::NotFoundError(ToAbsl(Format("\"{}\" is not in the store", ref.key)));
  }
  const std::vector<Version>& versions = found->second;
  auto version = std::prev(versions.end());
  if (!ref.version.empty()) {
    version = std::find_if(versions.begin(), versions.end(), [&ref](const Version& candidate) {
      return candidate.extras.version == ref.version;
    });
    if (version == versions.end()) {
      return absl::NotFoundError(
          ToAbsl(Format("\"{}\" has no version \"{}\"", ref.key, ref.version)));
    }
  }
  const Extras& extras = version->extras;
  auto secret = std::make_shared<Secret>();
  secret->value = SecretBytes::CopyOf(version->value);
  secret->version = extras.version;
  for (const auto& [name, value] : extras.fields) {
    secret->fields.emplace(name, SecretBytes::CopyOf(value));
  }
  secret->changed_at = extras.changed_at;
  secret->time_to_live = extras.time_to_live;
  if (extras.lease.has_value()) {
    const std::string number = std::to_string(++credentials_made_);
    secret->value = SecretBytes::CopyOf(version->value + "-" + number);
    secret->version += "-" + number;
    secret->lease = Lease{ref.key + "/" + number, *extras.lease, extras.renewable};
  }
  return SecretPtr(std::move(secret));
}

asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> FakeProvider::Fetch(
    std::vector<SecretRef> refs, RequestContext context) {
  std::vector<std::string> keys;
  for (const SecretRef& ref : refs) keys.push_back(ref.key);
  {
    absl::MutexLock lock(&mutex_);
    fetch_calls_.push_back({refs, context.deadline});
    most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
  }
  const bool released = co_await WaitWhileHeld(std::move(keys));
  absl::MutexLock lock(&mutex_);
  --in_flight_;
  std::vector<absl::StatusOr<SecretPtr>> results;
  absl::Status failure =
      released ? TakeFailure(call_failure_) : absl::CancelledError("the call was cancelled");
  for (const SecretRef& ref : refs) {
    if (failure.ok()) {
      results.push_back(Answer(ref));
    } else {
      results.push_back(failure);
    }
  }
  co_return results;
}

asio::awaitable<absl::StatusOr<ListPage>> FakeProvider::List(std::string prefix, std::string page,
                                                             RequestContext) {
  {
    absl::MutexLock lock(&mutex_);
    ++list_calls_;
  }
  const bool released = co_await WaitWhileHeld({});
  if (!released) co_return absl::CancelledError("the call was cancelled");
  absl::MutexLock lock(&mutex_);
  if (absl::Status failure = TakeFailure(call_failure_); !failure.ok()) co_return failure;
  const std::string below = prefix.empty() ? "" : prefix + "/";
  std::map<std::string, ListEntry> names;
  for (const auto& [key, versions] : secrets_) {
    if (!key.starts_with(below)) continue;
    const std::string rest = key.substr(below.size());
    const size_t slash = rest.find('/');
    const std::string name = rest.substr(0, slash);
    ListEntry& entry = names[name];
    entry.name = name;
    (slash == std::string::npos ? entry.is_secret : entry.is_prefix) = true;
  }
  if (names.empty()) {
    co_return absl::NotFoundError(ToAbsl(Format("nothing below \"{}\"", prefix)));
  }
  ListPage result;
  auto next = page.empty() ? names.begin() : names.lower_bound(page);
  while (next != names.end() && result.entries.size() < page_size_) {
    result.entries.push_back((next++)->second);
  }
  if (next != names.end()) result.next_page = next->first;
  co_return result;
}

asio::awaitable<absl::Status> FakeProvider::Watch(std::string prefix,
                                                  providers::ChangeCallback changed) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto watch = std::make_shared<RunningWatch>();
  watch->prefix = prefix;
  watch->changed = std::move(changed);
  watch->parked.executor = executor;
  watch->parked.timer =
      std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    watched_prefixes_.push_back(prefix);
    if (absl::Status failure = TakeFailure(call_failure_); !failure.ok()) co_return failure;
    number = next_number_++;
    watches_[number] = watch;
  }
  asio::error_code error;
  co_await watch->parked.timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  absl::MutexLock lock(&mutex_);
  watches_.erase(number);
  if (state.cancelled() == asio::cancellation_type::none) co_return watch_end_;
  ++cancelled_;
  co_return absl::CancelledError("the watch was cancelled");
}

asio::awaitable<absl::StatusOr<Lease>> FakeProvider::Renew(Lease lease, RequestContext) {
  absl::MutexLock lock(&mutex_);
  renewed_.push_back(lease.id);
  if (absl::Status failure = TakeFailure(renewal_failure_); !failure.ok()) co_return failure;
  lease.duration = renewal_grant_.value_or(lease.duration);
  co_return lease;
}

asio::awaitable<absl::Status> FakeProvider::Revoke(Lease lease, RequestContext) {
  absl::MutexLock lock(&mutex_);
  revoked_.push_back(lease.id);
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> FakeProvider::CheckLogin(RequestContext) {
  absl::MutexLock lock(&mutex_);
  ++logins_;
  co_return TakeFailure(call_failure_);
}

asio::awaitable<void> FakeProvider::Close(RequestContext) {
  absl::MutexLock lock(&mutex_);
  ++closes_;
  co_return;
}

}  // namespace secretfs::fakes
