#pragma once

// Keeps one store's watch running: starts Provider::Watch when first wanted and again, with
// backoff, whenever it ends. What may have changed while no watch ran is reported as "everything".
//
// Thread-safety: I/O thread only.

#include <functional>
#include <string>

#include "cache/environment.h"
#include "cache/store_calls.h"
#include "providers/provider.h"

namespace secretfs::cache {

class StoreWatch {
 public:
  // `changed` runs on the I/O thread, never from inside the provider's own call.
  StoreWatch(Environment& environment, StoreCalls& calls, const StoreSettings& settings,
             std::function<void(const providers::ChangeSet&)> changed);
  StoreWatch(const StoreWatch&) = delete;
  StoreWatch& operator=(const StoreWatch&) = delete;

  // Starts unless it was started before.
  void EnsureStarted();
  void Stop();

 private:
  void Start();
  void Ended(const absl::Status& status, MonotonicTime started);

  Environment& environment_;
  StoreCalls& calls_;
  const std::string name_;
  const std::string prefix_;
  const ProviderPtr provider_;
  const std::function<void(const providers::ChangeSet&)> changed_;
  bool started_ = false;
  bool stopped_ = false;
  int failures_ = 0;
  StoreCalls::CallPtr call_;
  Timer restart_;
  // Runs once after a restart; nobody watched since the last watch ended.
  Timer catch_up_;
};

}  // namespace secretfs::cache
