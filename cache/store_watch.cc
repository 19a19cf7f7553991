#include "cache/store_watch.h"

#include <utility>

#include "base/log.h"

namespace secretfs::cache {
namespace {

// A watch that still runs this long after its restart is taken to work: what changed before that is
// looked for then, and not at every attempt to reach a dead store.
constexpr Duration kUntilWatching = std::chrono::milliseconds(250);

}  // namespace

StoreWatch::StoreWatch(Environment& environment, StoreCalls& calls, const StoreSettings& settings,
                       std::function<void(const providers::ChangeSet&)> changed)
    : environment_(environment),
      calls_(calls),
      name_(settings.name),
      prefix_(settings.watch_prefix),
      provider_(settings.provider),
      changed_(std::move(changed)),
      restart_(environment,
               [this] {
                 Start();
                 catch_up_.SetFor(environment_.Now() + kUntilWatching);
               }),
      catch_up_(environment, [this] {
        if (call_ != nullptr) changed_({.everything = true, .keys = {}});
      }) {}

void StoreWatch::EnsureStarted() {
  if (!std::exchange(started_, true)) Start();
}

void StoreWatch::Stop() {
  started_ = true;
  stopped_ = true;
  restart_.Cancel();
  catch_up_.Cancel();
  if (call_ != nullptr) call_->Cancel();
}

void StoreWatch::Start() {
  if (stopped_) return;
  const MonotonicTime now = environment_.Now();
  // A guarded post, so that the provider may call this whenever and as long as it likes.
  providers::ChangeCallback report = [&context = environment_.context,
                                      lifetime = environment_.lifetime,
                                      this](const providers::ChangeSet& changes) {
    asio::post(context, [this, lifetime, changes] {
      lifetime->Run([&] {
        if (!stopped_) changed_(changes);
      });
    });
  };
  call_ = calls_.Start<absl::Status>(
      CallWatch(provider_, prefix_, std::move(report)), MonotonicTime::max(),
      [this, now](const absl::Status& status) { Ended(status, now); });
}

void StoreWatch::Ended(const absl::Status& status, MonotonicTime started) {
  call_.reset();
  if (stopped_) return;
  if (status.code() == absl::StatusCode::kUnimplemented) return;
  const MonotonicTime now = environment_.Now();
  // One that ran for a while had succeeded in starting.
  failures_ = now - started >= environment_.options.backoff_most ? 1 : failures_ + 1;
  if (failures_ == 1) {
    Log().warn("the watch of store \"{}\" ended and is started again: {}", name_, status);
  }
  restart_.SetFor(SaturatingAdd(now, environment_.Backoff(failures_)));
}

}  // namespace secretfs::cache
