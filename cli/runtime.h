#pragma once

// What every command that talks to stores is made of: the I/O thread, the clocks, the cache and the
// providers, brought up and taken down in the right order. Going down revokes leases and gives
// tokens back, for at most three seconds.
//
// The blocking calls below are for a command's main thread; none may be called on the I/O thread.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "base/kept_values.h"
#include "base/random.h"
#include "cache/cache.h"
#include "providers/provider.h"
#include "providers/store_config.h"

namespace secretfs::cli {

class Runtime {
 public:
  // Starts the I/O thread. `kept`: where values outlive this process; may be null, outlives this.
  explicit Runtime(KeptValues* kept = nullptr);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  cache::Cache& cache() { return *cache_; }
  // Where values outlive this process; may be null.
  KeptValues* kept() const { return kept_; }
  IoThread& io() { return io_; }
  const Clock& clock() const { return clock_; }

  // Makes the store's provider and gives it to the cache, unless it has it already. Contacts no
  // store.
  absl::StatusOr<cache::StoreId> AddStore(const providers::StoreConfig& config,
                                          const std::string& watch_prefix);

  // One value, waiting for as long as the cache's policy lets it.
  absl::StatusOr<cache::EntrySnapshot> Read(const cache::EntryKey& key);
  // The same for several at once; results in the order of `keys`.
  std::vector<absl::StatusOr<cache::EntrySnapshot>> ReadAll(
      const std::vector<cache::EntryKey>& keys);
  absl::StatusOr<std::vector<providers::ListEntry>> List(cache::StoreId store,
                                                         const std::string& prefix,
                                                         const cache::Policy& policy);
  // Proves that the store takes our credentials.
  absl::Status CheckLogin(cache::StoreId store, Duration limit);

  // Revokes leases and closes the providers; the I/O thread goes on until the destructor, which
  // calls this too. No FUSE mount may be served any more. Idempotent.
  void Shutdown();
  // The other way to end, when another server goes on: nothing is given back or erased, and the I/O
  // thread stops. Only the end of the process may follow.
  void HandOver();

 private:
  IoThread io_;
  SystemClock clock_;
  SystemRandom random_;
  KeptValues* const kept_;
  std::unique_ptr<cache::Cache> cache_;
  std::map<std::pair<std::string, std::string>, cache::StoreId> stores_;  // by name and identity
  std::map<cache::StoreId, std::shared_ptr<providers::Provider>> providers_;
  bool shut_down_ = false;
};

}  // namespace secretfs::cli
