#pragma once

// A store in memory for tests: secrets set by key, every call recorded, answers held until told,
// failures on demand, versions, leases, listing pages and watch events.
//
// Thread-safety: the Provider's own functions run on the I/O thread, as the interface says;
// everything else may be called from any thread, so that a test can drive it from outside. It does
// not copy any real store's protocol, and keeps no promise about time: an answer comes as soon as
// it is not held.

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "providers/provider.h"

namespace secretfs::fakes {

class FakeProvider final : public providers::Provider {
 public:
  static constexpr int kForever = -1;

  // What Set may say besides the value.
  struct Extras {
    std::string version;  // empty: counted up from "1" for each key
    std::map<std::string, std::string> fields;
    std::optional<WallTime> changed_at;
    std::optional<Duration> time_to_live;
    // Every fetch then makes a new credential: value "VALUE-N", version and lease id of its own.
    std::optional<std::chrono::seconds> lease;
    bool renewable = true;
  };
  struct FetchCall {
    std::vector<providers::SecretRef> refs;
    MonotonicTime deadline;
  };

  explicit FakeProvider(providers::Capabilities capabilities = {.list = true});
  ~FakeProvider() override;

  // --- what the store holds

  // The next version of `key`; older ones stay readable by version. Ends what Fail(key) began.
  void Set(std::string_view key, std::string_view value) { Set(key, value, Extras()); }
  void Set(std::string_view key, std::string_view value, Extras extras);
  // NotFound from now on.
  void Remove(std::string_view key);

  // --- how it behaves

  // The next `times` fetches of `key` fail so; other keys of the same call do not.
  void Fail(std::string_view key, absl::Status status, int times = 1);
  // The next `times` calls of Fetch, List or Watch fail so as a whole.
  void FailCalls(absl::Status status, int times = 1);
  void FailRenewals(absl::Status status, int times = 1);
  // What Renew grants; not set: the duration that the lease has.
  void GrantOnRenewal(std::optional<std::chrono::seconds> duration);
  // Ends every failure.
  void Heal();
  // From now on calls of Fetch and List are counted and wait. A held call answers with what the
  // store holds when it is released.
  void Hold();
  // Lets every waiting call answer, and those to come.
  void Release();
  // As Hold and Release, for calls that ask for `key` only.
  void HoldKey(std::string_view key);
  void ReleaseKey(std::string_view key);
  // Names given in one page of List.
  void set_page_size(size_t size);
  // Set and Remove report the key to every watch.
  void set_notify_on_change(bool notify);

  // --- watches

  void NotifyWatchers(providers::ChangeSet changes);
  // Every running Watch returns `status`.
  void EndWatches(absl::Status status);

  // --- what was asked

  std::vector<FetchCall> fetch_calls() const;
  size_t fetch_call_count() const { return fetch_calls().size(); }
  // Refs for `key` in all fetch calls.
  size_t fetches_of(std::string_view key) const;
  size_t list_calls() const;                          // pages
  std::vector<std::string> watched_prefixes() const;  // of every Watch call, ended ones included
  size_t running_watches() const;
  std::vector<std::string> renewed() const;  // lease ids, in order
  std::vector<std::string> revoked() const;
  size_t closes() const;
  size_t logins() const;
  size_t held() const;            // calls that wait
  size_t most_in_flight() const;  // fetch calls at the same time
  // Calls that ended because the cache cancelled them.
  size_t cancelled() const;

  // --- Provider

  providers::Capabilities capabilities() const override { return capabilities_; }
  asio::awaitable<std::vector<absl::StatusOr<providers::SecretPtr>>> Fetch(
      std::vector<providers::SecretRef> refs, providers::RequestContext context) override;
  asio::awaitable<absl::StatusOr<providers::ListPage>> List(
      std::string prefix, std::string page, providers::RequestContext context) override;
  asio::awaitable<absl::Status> Watch(std::string prefix,
                                      providers::ChangeCallback changed) override;
  asio::awaitable<absl::StatusOr<providers::Lease>> Renew(
      providers::Lease lease, providers::RequestContext context) override;
  asio::awaitable<absl::Status> Revoke(providers::Lease lease,
                                       providers::RequestContext context) override;
  asio::awaitable<absl::Status> CheckLogin(providers::RequestContext context) override;
  asio::awaitable<void> Close(providers::RequestContext context) override;

 private:
  struct Version {
    std::string value;
    Extras extras;
  };
  struct Failure {
    absl::Status status;
    int times = 0;
  };
  // A coroutine that waits on a timer that never expires; cancelling the timer lets it go on.
  struct Parked {
    asio::any_io_executor executor;
    std::shared_ptr<asio::steady_timer> timer;
    std::vector<std::string> keys;  // empty for List
  };
  struct RunningWatch {
    std::string prefix;
    providers::ChangeCallback changed;
    Parked parked;
  };

  // Waits while calls for `keys` are held; false when the call was cancelled meanwhile.
  asio::awaitable<bool> WaitWhileHeld(std::vector<std::string> keys);
  bool IsHeld(const std::vector<std::string>& keys) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeParked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static absl::Status TakeFailure(Failure& failure);
  absl::StatusOr<providers::SecretPtr> Answer(const providers::SecretRef& ref)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify(std::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotifyLocked(const providers::ChangeSet& changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const providers::Capabilities capabilities_;

  mutable absl::Mutex mutex_;
  // --- protected by mutex_:
  // All versions of each key, oldest first; the last is the newest. Removed keys are not here.
  std::map<std::string, std::vector<Version>, std::less<>> secrets_ ABSL_GUARDED_BY(mutex_);
  // Versions made so far, so that a key that was removed and set again does not count from 1.
  std::map<std::string, int, std::less<>> versions_made_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Failure, std::less<>> key_failures_ ABSL_GUARDED_BY(mutex_);
  Failure call_failure_ ABSL_GUARDED_BY(mutex_);
  Failure renewal_failure_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::seconds> renewal_grant_ ABSL_GUARDED_BY(mutex_);
  bool hold_all_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::string, std::less<>> held_keys_ ABSL_GUARDED_BY(mutex_);
  size_t page_size_ ABSL_GUARDED_BY(mutex_) = 1000;
  bool notify_on_change_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, Parked> parked_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<RunningWatch>> watches_ ABSL_GUARDED_BY(mutex_);
  absl::Status watch_end_ ABSL_GUARDED_BY(mutex_);
  uint64_t credentials_made_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<FetchCall> fetch_calls_ ABSL_GUARDED_BY(mutex_);
  size_t list_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> watched_prefixes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> renewed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> revoked_ ABSL_GUARDED_BY(mutex_);
  size_t closes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t logins_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t most_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t cancelled_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace secretfs::fakes
