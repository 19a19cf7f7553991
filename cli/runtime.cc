#include "cli/runtime.h"

#include <asio/co_spawn.hpp>
#include <future>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "cli/store_factory.h"

namespace secretfs::cli {
namespace {

constexpr std::chrono::seconds kShutdownLimit(3);

// What of leases and requests is under way is left to the next server after this.
constexpr std::chrono::seconds kHandOverLimit(1);

cache::CacheOptions OptionsWith(KeptValues* kept) {
  cache::CacheOptions options;
  options.kept = kept;
  return options;
}

}  // namespace

Runtime::Runtime(KeptValues* kept)
    : kept_(kept),
      cache_(std::make_unique<cache::Cache>(OptionsWith(kept), io_.context(), clock_,
                                            io_.scheduler(), random_)) {
  io_.Start();
}

Runtime::~Runtime() {
  Shutdown();
  io_.Stop();
}

absl::StatusOr<cache::StoreId> Runtime::AddStore(const providers::StoreConfig& config,
                                                 const std::string& watch_prefix) {
  const std::string identity = IdentityOf(config);
  const auto known = stores_.find({config.name, identity});
  if (known != stores_.end()) return known->second;
  SECRETFS_ASSIGN_OR_RETURN(std::shared_ptr<providers::Provider> provider,
                            MakeProvider(config, io_, clock_));
  cache::StoreSettings settings;
  settings.name = config.name;
  settings.identity = identity;
  settings.provider = provider;
  settings.watch_prefix = watch_prefix;
  const cache::StoreId store = cache_->AddStore(std::move(settings));
  stores_.emplace(std::pair(config.name, identity), store);
  providers_.emplace(store, std::move(provider));
  return store;
}

absl::StatusOr<cache::EntrySnapshot> Runtime::Read(const cache::EntryKey& key) {
  return std::move(ReadAll({key}).front());
}

std::vector<absl::StatusOr<cache::EntrySnapshot>> Runtime::ReadAll(
    const std::vector<cache::EntryKey>& keys) {
  std::vector<std::promise<absl::StatusOr<cache::EntrySnapshot>>> promises(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    cache_->Read(keys[i], [&promise = promises[i]](absl::StatusOr<cache::EntrySnapshot> result) {
      promise.set_value(std::move(result));
    });
  }
  std::vector<absl::StatusOr<cache::EntrySnapshot>> results;
  results.reserve(keys.size());
  for (auto& promise : promises) results.push_back(promise.get_future().get());
  return results;
}

absl::StatusOr<std::vector<providers::ListEntry>> Runtime::List(cache::StoreId store,
                                                                const std::string& prefix,
                                                                const cache::Policy& policy) {
  std::promise<absl::StatusOr<std::vector<providers::ListEntry>>> promise;
  cache_->List(store, prefix, policy, false,
               [&promise](absl::StatusOr<std::vector<providers::ListEntry>> result) {
                 promise.set_value(std::move(result));
               });
  return promise.get_future().get();
}

absl::Status Runtime::CheckLogin(cache::StoreId store, Duration limit) {
  const providers::RequestContext request{.deadline = clock_.Now() + limit};
  std::promise<absl::Status> promise;
  asio::co_spawn(io_.context(), providers_.at(store)->CheckLogin(request),
                 [&promise](const std::exception_ptr& thrown, absl::Status status) {
                   promise.set_value(thrown ? absl::InternalError("the login check failed")
                                            : std::move(status));
                 });
  return promise.get_future().get();
}

void Runtime::Shutdown() {
  if (std::exchange(shut_down_, true)) return;
  // Shared: should the cache not keep its limit, its answer comes when nobody waits any more.
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  cache_->Shutdown(kShutdownLimit, [done] { done->set_value(); });
  if (finished.wait_for(2 * kShutdownLimit) != std::future_status::ready) {
    Log().warn("leases could not be given back in time; they end by themselves");
  }
}

void Runtime::HandOver() {
  shut_down_ = true;
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  cache_->HandOver(kHandOverLimit, [done] { done->set_value(); });
  finished.wait_for(2 * kHandOverLimit);
  io_.Stop();
}

}  // namespace secretfs::cli
