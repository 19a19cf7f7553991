#pragma once

// Runs calls to providers as coroutines on the I/O thread and brings their results back into the
// cache. A provider's code never runs inside the cache's: the start and the result both take a turn
// of the I/O thread. What a provider throws becomes a status here.
//
// Thread-safety: I/O thread only; it may be destroyed elsewhere once the lifetime has ended.

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/environment.h"
#include "providers/provider.h"

namespace secretfs::cache {

using ProviderPtr = std::shared_ptr<providers::Provider>;
using FetchResults = std::vector<absl::StatusOr<providers::SecretPtr>>;

// What a call that was cut off reports: not Cancelled, but that there was no answer in time.
void ReplaceCancelled(absl::Status& status);
template <typename T>
void ReplaceCancelled(absl::StatusOr<T>& result) {
  absl::Status status = result.status();
  ReplaceCancelled(status);
  if (!status.ok()) result = status;
}
inline void ReplaceCancelled(FetchResults& results) {
  for (auto& result : results) ReplaceCancelled(result);
}

class StoreCalls {
 public:
  // A provider ends its calls at their deadline by itself, with a better message than ours; this
  // much later they are cut off.
  static constexpr Duration kGraceBeforeCutoff = std::chrono::milliseconds(500);

  // One call; Cancel makes it end early if the provider takes part. Its result arrives all the
  // same.
  class Call {
   public:
    explicit Call(Environment& environment)
        : cutoff_(environment, [this] {
            cut_off_ = true;
            Cancel();
          }) {}
    void Cancel() {
      cancelled_ = true;
      if (started_) signal_.emit(asio::cancellation_type::terminal);
    }

   private:
    friend class StoreCalls;
    asio::cancellation_signal signal_;
    bool started_ = false;
    bool cancelled_ = false;
    bool cut_off_ = false;
    Timer cutoff_;
  };
  using CallPtr = std::shared_ptr<Call>;

  explicit StoreCalls(Environment& environment) : environment_(environment) {}
  // Cancels what runs.
  ~StoreCalls();
  StoreCalls(const StoreCalls&) = delete;
  StoreCalls& operator=(const StoreCalls&) = delete;

  // `done` runs on the I/O thread with the result. A call that the provider does not end by
  // `deadline` is cut off soon after. REQUIRES: `call` does not throw.
  template <typename T>
  CallPtr Start(asio::awaitable<T> call, MonotonicTime deadline, std::function<void(T)> done);

  void CancelAll();
  size_t running() const { return running_.size(); }
  // Runs whenever the last running call has delivered its result.
  void set_on_idle(std::function<void()> on_idle) { on_idle_ = std::move(on_idle); }

 private:
  Environment& environment_;
  std::set<CallPtr> running_;
  std::function<void()> on_idle_;
};

// The calls of a Provider, with everything thrown turned into a status.
asio::awaitable<FetchResults> CallFetch(ProviderPtr provider,
                                        std::vector<providers::SecretRef> refs,
                                        providers::RequestContext context);
// All pages, names merged that stand on several.
asio::awaitable<absl::StatusOr<std::vector<providers::ListEntry>>> CallList(
    ProviderPtr provider, std::string prefix, providers::RequestContext context);
asio::awaitable<absl::Status> CallWatch(ProviderPtr provider, std::string prefix,
                                        providers::ChangeCallback changed);
asio::awaitable<absl::StatusOr<providers::Lease>> CallRenew(ProviderPtr provider,
                                                            providers::Lease lease,
                                                            providers::RequestContext context);
asio::awaitable<absl::Status> CallRevoke(ProviderPtr provider, providers::Lease lease,
                                         providers::RequestContext context);
asio::awaitable<absl::Status> CallClose(ProviderPtr provider, providers::RequestContext context);

template <typename T>
StoreCalls::CallPtr StoreCalls::Start(asio::awaitable<T> call, MonotonicTime deadline,
                                      std::function<void(T)> done) {
  auto handle = std::make_shared<Call>(environment_);
  running_.insert(handle);
  if (deadline != MonotonicTime::max()) {
    handle->cutoff_.SetFor(SaturatingAdd(deadline, kGraceBeforeCutoff));
  }
  auto deliver = [this, handle, done = std::move(done)](T result) {
    handle->cutoff_.Cancel();
    running_.erase(handle);
    if (handle->cut_off_) ReplaceCancelled(result);
    done(std::move(result));
    if (running_.empty() && on_idle_) on_idle_();
  };
  // The signal lives in `handle`, which the completion handler holds: longer than its slot.
  auto finished = [&context = environment_.context, lifetime = environment_.lifetime, handle,
                   deliver = std::move(deliver)](const std::exception_ptr&, T result) mutable {
    asio::post(context, [lifetime = std::move(lifetime), deliver = std::move(deliver),
                         result = std::move(result)]() mutable {
      lifetime->Run([&] { deliver(std::move(result)); });
    });
  };
  asio::post(environment_.context, [&context = environment_.context, handle, call = std::move(call),
                                    finished = std::move(finished)]() mutable {
    handle->started_ = true;
    asio::co_spawn(context, std::move(call),
                   asio::bind_cancellation_slot(handle->signal_.slot(), std::move(finished)));
    if (handle->cancelled_) handle->signal_.emit(asio::cancellation_type::terminal);
  });
  return handle;
}

}  // namespace secretfs::cache
