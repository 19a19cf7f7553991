#include "cli/expansion.h"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <regex>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/secret_json.h"

namespace secretfs::cli {
namespace {

// More names than that are a mistake in the expression, and no directory to work with.
constexpr size_t kMostFound = 100'000;

// A result that a callback on the I/O thread brings to a coroutine there.
template <typename T>
class Waiting {
 public:
  explicit Waiting(asio::any_io_executor executor)
      : timer_(std::move(executor), std::chrono::steady_clock::time_point::max()) {}
  void Set(absl::StatusOr<T> result) {
    result_ = std::move(result);
    timer_.cancel();
  }
  bool is_set() const { return result_.has_value(); }
  asio::steady_timer& timer() { return timer_; }
  absl::StatusOr<T> Take() {
    if (!result_.has_value()) return absl::CancelledError("nobody waits for it any more");
    return *std::move(result_);
  }

 private:
  asio::steady_timer timer_;
  std::optional<absl::StatusOr<T>> result_;
};

using Entries = std::vector<providers::ListEntry>;

asio::awaitable<absl::StatusOr<Entries>> ListEntries(cache::Cache* cache, cache::StoreId store,
                                                     std::string prefix, cache::Policy policy) {
  auto waiting = std::make_shared<Waiting<Entries>>(co_await asio::this_coro::executor);
  std::function<void(absl::StatusOr<Entries>)> done = [waiting](absl::StatusOr<Entries> result) {
    waiting->Set(std::move(result));
  };
  cache->List(store, prefix, policy, false, done);
  if (!waiting->is_set()) co_await waiting->timer().async_wait(kAwait);
  co_return waiting->Take();
}

bool IsKeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

// The manifest's reader has compiled the expression once already, so this cannot throw.
std::regex MatcherOf(const k8s::FindSecrets& find) { return std::regex(find.name_regexp); }

void AddFile(const Expansion& expansion, const std::string& name, ExpandedFile file,
             ExpandedFiles& files) {
  const std::string shown = ExpandedName(expansion.what, name);
  if (!IsFileName(shown)) {
    Log().warn("{}: a name cannot be shown as a file and is left out", expansion.what.origin);
    return;
  }
  files.insert_or_assign(shown, std::move(file));
}

asio::awaitable<absl::Status> ExpandExtract(cache::Cache* cache, const Expansion* expansion,
                                            const k8s::ExtractFields* extract,
                                            ExpandedFiles* files) {
  const cache::EntryKey key{.store = expansion->store, .ref = extract->ref};
  const absl::StatusOr<cache::EntrySnapshot> snapshot = co_await ReadEntry(cache, key);
  if (!snapshot.ok()) co_return snapshot.status();
  const absl::StatusOr<std::vector<std::string>> names = FieldNames(*snapshot->secret);
  if (!names.ok()) {
    co_return WithContext(names.status(), Format("secret '{}'", extract->ref.key));
  }
  for (const std::string& name : *names) {
    ExpandedFile file{.key = key, .selection = {}, .policy = expansion->what.policy};
    file.selection.property = name;
    file.selection.decoding = expansion->what.decoding;
    AddFile(*expansion, name, std::move(file), *files);
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ExpandFind(cache::Cache* cache, const Expansion* expansion,
                                         const k8s::FindSecrets* find, ExpandedFiles* files) {
  const std::regex matcher = MatcherOf(*find);
  std::deque<std::string> prefixes{find->path};
  size_t found = 0;
  while (!prefixes.empty()) {
    const std::string prefix = std::move(prefixes.front());
    prefixes.pop_front();
    const absl::StatusOr<Entries> entries =
        co_await ListEntries(cache, expansion->store, prefix, expansion->what.policy);
    if (!entries.ok()) co_return entries.status();
    for (const providers::ListEntry& entry : *entries) {
      const std::string key = prefix.empty() ? entry.name : prefix + "/" + entry.name;
      if (entry.is_prefix) prefixes.push_back(key);
      if (!entry.is_secret || !std::regex_search(key, matcher)) continue;
      if (++found > kMostFound) {
        co_return absl::ResourceExhaustedError(
            Format("{}: more than {} secrets match", expansion->what.origin, kMostFound));
      }
      ExpandedFile file{.key = {.store = expansion->store, .ref = {.key = key, .version = {}}},
                        .selection = {},
                        .policy = expansion->what.policy};
      file.selection.decoding = expansion->what.decoding;
      AddFile(*expansion, key, std::move(file), *files);
    }
  }
  co_return absl::OkStatus();
}

}  // namespace

bool MatchesFind(const k8s::FindSecrets& find, const std::string& key) {
  return std::regex_search(key, MatcherOf(find));
}

bool IsFileName(std::string_view name) {
  return !name.empty() && name != "." && !name.starts_with("..");
}

std::string ExpandedName(const k8s::ManifestExpansion& expansion, const std::string& name) {
  std::string shown = name;
  for (const auto& [source, target] : expansion.rewrite_regexp) {
    shown = std::regex_replace(shown, std::regex(source), target);
  }
  for (char& c : shown) {
    if (!IsKeyCharacter(c)) c = '_';
  }
  return shown;
}

absl::StatusOr<std::vector<std::string>> FieldNames(const providers::Secret& secret) {
  std::vector<std::string> names;
  if (!secret.fields.empty()) {
    for (const auto& [name, value] : secret.fields) names.push_back(name);
    return names;
  }
  const absl::StatusOr<providers::SecretJson> json =
      providers::ParseSecretJson(secret.value.ExposeAsText());
  if (!json.ok() || !json->is_object()) {
    return absl::FailedPreconditionError(
        "its value is not a JSON object, so there are no fields to extract");
  }
  for (const auto& [name, value] : json->items()) names.emplace_back(name.begin(), name.end());
  return names;
}

asio::awaitable<absl::StatusOr<cache::EntrySnapshot>> ReadEntry(cache::Cache* cache,
                                                                cache::EntryKey key) {
  auto waiting =
      std::make_shared<Waiting<cache::EntrySnapshot>>(co_await asio::this_coro::executor);
  cache::Cache::ReadCallback done = [waiting](absl::StatusOr<cache::EntrySnapshot> result) {
    waiting->Set(std::move(result));
  };
  cache->Read(key, done);
  if (!waiting->is_set()) co_await waiting->timer().async_wait(kAwait);
  co_return waiting->Take();
}

asio::awaitable<absl::StatusOr<ExpandedFiles>> Expand(cache::Cache* cache,
                                                      std::vector<Expansion> expansions) {
  ExpandedFiles files;
  for (size_t i = 0; i < expansions.size(); ++i) {
    const Expansion& expansion = expansions[i];
    ExpandedFiles found;
    absl::Status status;
    const auto* extract = std::get_if<k8s::ExtractFields>(&expansion.what.source);
    const auto* find = std::get_if<k8s::FindSecrets>(&expansion.what.source);
    if (extract != nullptr && !extract->ref.key.empty()) {
      status = co_await ExpandExtract(cache, &expansion, extract, &found);
    } else if (find != nullptr && !(find->path.empty() && find->name_regexp.empty())) {
      status = co_await ExpandFind(cache, &expansion, find, &found);
    } else {
      // The manifest's reader refuses it; here it must not turn into everything either.
      status = absl::InvalidArgumentError("names no secret of its store");
    }
    for (auto& [name, file] : found) {
      file.expansion = i;
      files.insert_or_assign(name, std::move(file));
    }
    if (!status.ok()) co_return WithContext(status, expansion.what.origin);
  }
  co_return files;
}

}  // namespace secretfs::cli
