#pragma once

// Expansions (expansion.h) as a store of their own, so that a mount can show them lazily as a
// browse tree: a listing of it expands, a fetch cuts one file out of the underlying secret. All
// reads go through the cache's entries of the underlying stores, so the fields of one secret are
// always of one version and of one lease, and one request serves them all; when an underlying entry
// changes, the watch of this store says so.
//
// Lifetime: the cache keeps the Provider, which reads from the same cache. Stop breaks that ring
// and must be called before the cache is shut down.
//
// Thread-safety: Make, Refresh and Stop are called from a thread that is not the I/O thread.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/expansion.h"
#include "cli/runtime.h"
#include "providers/provider.h"

namespace secretfs::cli {

class ExpansionSource {
 public:
  // `taken`: file names that the manifest gives to other files, which win. `runtime` outlives it.
  static std::unique_ptr<ExpansionSource> Make(Runtime& runtime, std::vector<Expansion> expansions,
                                               std::set<std::string> taken);
  ~ExpansionSource();

  // The store in the cache.
  cache::StoreId store() const { return store_; }
  // Asks the underlying stores now for every secret that was read; the first failure.
  absl::Status Refresh();
  void Stop();

 private:
  class Provider;
  ExpansionSource(Runtime& runtime, std::shared_ptr<Provider> provider, cache::StoreId store)
      : runtime_(runtime), provider_(std::move(provider)), store_(store) {}

  Runtime& runtime_;
  std::shared_ptr<Provider> provider_;
  cache::StoreId store_;
};

}  // namespace secretfs::cli
