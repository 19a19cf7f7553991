#include "cli/expansion_source.h"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <future>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {
namespace {

// A fetch costs nothing here, so a whole mount may come at once.
constexpr size_t kBatch = 1000;

}  // namespace

// Everything below is used on the I/O thread, except the construction.
class ExpansionSource::Provider final : public providers::Provider, public cache::Listener {
 public:
  Provider(Runtime& runtime, std::vector<Expansion> expansions, std::set<std::string> taken)
      : cache_(&runtime.cache()), expansions_(std::move(expansions)), taken_(std::move(taken)) {}

  // What `extract` names is mounted from the start; what `find` finds, when it is found.
  void AddFirstInterests() {
    for (const Expansion& expansion : expansions_) {
      const auto* extract = std::get_if<k8s::ExtractFields>(&expansion.what.source);
      if (extract == nullptr) continue;
      Mount({.store = expansion.store, .ref = extract->ref}, expansion.what.policy);
    }
  }
  void DropInterests() {
    interests_.clear();
    changed_ = nullptr;
    if (watch_timer_ != nullptr) watch_timer_->cancel();
  }
  std::vector<cache::EntryKey> SeenKeys() const {
    std::vector<cache::EntryKey> keys;
    for (const auto& [key, version] : seen_) keys.push_back(key);
    return keys;
  }

  providers::Capabilities capabilities() const override {
    return {.list = true, .watch = true, .structured = false, .batch_size = kBatch};
  }

  asio::awaitable<absl::StatusOr<providers::ListPage>> List(
      std::string prefix, std::string page, providers::RequestContext context) override {
    (void)page, (void)context;
    if (!prefix.empty()) co_return absl::NotFoundError(Format("there is no '{}'", prefix));
    const absl::Status expanded = co_await ExpandNow();
    if (!expanded.ok()) co_return expanded;
    providers::ListPage names;
    for (const auto& [name, file] : files_) {
      if (taken_.contains(name)) continue;
      names.entries.push_back({.name = name, .is_secret = true, .is_prefix = false});
    }
    co_return names;
  }

  asio::awaitable<std::vector<absl::StatusOr<providers::SecretPtr>>> Fetch(
      std::vector<providers::SecretRef> refs, providers::RequestContext context) override {
    (void)context;
    std::vector<absl::StatusOr<providers::SecretPtr>> results;
    absl::Status expanded;
    for (const providers::SecretRef& ref : refs) {
      if (expanded.ok() && !files_.contains(ref.key)) expanded = co_await ExpandNow();
      if (!expanded.ok()) {
        results.emplace_back(expanded);
        continue;
      }
      absl::StatusOr<providers::SecretPtr> result = co_await FetchOne(ref.key);
      results.push_back(std::move(result));
    }
    co_return results;
  }

  asio::awaitable<absl::Status> Watch(std::string prefix,
                                      providers::ChangeCallback changed) override {
    (void)prefix;
    changed_ = std::move(changed);
    watch_timer_ = std::make_shared<asio::steady_timer>(
        co_await asio::this_coro::executor, std::chrono::steady_clock::time_point::max());
    const std::shared_ptr<asio::steady_timer> timer = watch_timer_;
    co_await timer->async_wait(kAwait);
    co_return absl::CancelledError("the watch was ended");
  }

  asio::awaitable<absl::Status> CheckLogin(providers::RequestContext context) override {
    (void)context;
    co_return absl::OkStatus();  // the underlying stores have their own
  }

  // cache::Listener. States come and go with every refresh; files change only when a version does,
  // or when a secret comes or goes.
  void OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) override {
    bool changed = false;
    for (const cache::EntrySnapshot& entry : entries) {
      const std::string version = entry.secret == nullptr ? "" : entry.secret->version;
      const auto [seen, is_new] = seen_.try_emplace(entry.key, version);
      changed |= !is_new && seen->second != version;
      seen->second = version;
    }
    if (changed && changed_) changed_({.everything = true, .keys = {}});
  }

 private:
  asio::awaitable<absl::Status> ExpandNow() {
    absl::StatusOr<ExpandedFiles> files = co_await Expand(cache_, expansions_);
    if (!files.ok()) co_return files.status();
    files_ = *std::move(files);
    for (const auto& [name, file] : files_) Mount(file.key, file.policy);
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::StatusOr<providers::SecretPtr>> FetchOne(std::string name) {
    const auto found = files_.find(name);
    if (found == files_.end()) {
      co_return absl::NotFoundError(Format("no expansion makes a file '{}'", name));
    }
    const ExpandedFile file = found->second;
    const absl::StatusOr<cache::EntrySnapshot> snapshot = co_await ReadEntry(cache_, file.key);
    if (!snapshot.ok()) co_return snapshot.status();
    const providers::Secret& whole = *snapshot->secret;
    absl::StatusOr<SecretBytes> value = providers::Select(whole, file.selection);
    if (!value.ok()) co_return value.status();
    auto secret = std::make_shared<providers::Secret>();
    secret->value = *std::move(value);
    secret->version = whole.version;
    secret->changed_at = whole.changed_at;
    secret->time_to_live = whole.time_to_live;
    // The lease stays with the underlying entry, which renews and revokes it.
    co_return providers::SecretPtr(std::move(secret));
  }

  void Mount(const cache::EntryKey& key, const cache::Policy& policy) {
    if (interests_.contains(key)) return;
    interests_.emplace(key, cache_->AddInterest(key, policy, true, this));
  }

  cache::Cache* const cache_;
  const std::vector<Expansion> expansions_;
  const std::set<std::string> taken_;
  ExpandedFiles files_;  // of the last expansion
  std::map<cache::EntryKey, cache::Interest> interests_;
  std::map<cache::EntryKey, std::string> seen_;  // versions; "" when there is no value
  providers::ChangeCallback changed_;
  std::shared_ptr<asio::steady_timer> watch_timer_;
};

std::unique_ptr<ExpansionSource> ExpansionSource::Make(Runtime& runtime,
                                                       std::vector<Expansion> expansions,
                                                       std::set<std::string> taken) {
  cache::StoreSettings settings;
  settings.name = runtime.cache().StoreName(expansions.front().store);
  settings.identity = "expansion";
  auto provider = std::make_shared<Provider>(runtime, std::move(expansions), std::move(taken));
  settings.provider = provider;
  runtime.io().RunAndWait([&provider] { provider->AddFirstInterests(); });
  const cache::StoreId store = runtime.cache().AddStore(std::move(settings));
  return std::unique_ptr<ExpansionSource>(new ExpansionSource(runtime, std::move(provider), store));
}

absl::Status ExpansionSource::Refresh() {
  std::vector<cache::EntryKey> keys;
  runtime_.io().RunAndWait([&] { keys = provider_->SeenKeys(); });
  std::vector<std::promise<absl::Status>> promises(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    runtime_.cache().Refresh(keys[i], [&promise = promises[i]](const auto& result) {
      promise.set_value(result.status());
    });
  }
  absl::Status first;
  for (auto& promise : promises) first.Update(promise.get_future().get());
  return first;
}

void ExpansionSource::Stop() {
  runtime_.cache().RemoveListener(provider_.get());
  runtime_.io().RunAndWait([this] { provider_->DropInterests(); });
}

ExpansionSource::~ExpansionSource() { Stop(); }

}  // namespace secretfs::cli
