#include "providers/local/local_provider.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "providers/local/default_paths.h"
#include "providers/local/folder_watch.h"
#include "providers/local/local_store.h"
#include "providers/local/store_file.h"

namespace secretfs::providers {
namespace {

using local::FileIdentity;
using local::FolderWatch;
using local::KeySource;
using local::SecretEntry;
using local::SnapshotPtr;
using local::StoreSnapshot;
using local::VersionEntry;

constexpr size_t kBatchSize = 1000;
// How long a store that could not be opened is not tried again while its file stays the same: with
// a wrong passphrase each attempt costs a scrypt.
constexpr Duration kRetryDelay = std::chrono::seconds(2);

bool IsBelow(std::string_view name, std::string_view prefix) {
  return prefix.empty() || name == prefix ||
         (name.starts_with(prefix) && name.size() > prefix.size() && name[prefix.size()] == '/');
}

bool SameVersions(const SecretEntry& a, const SecretEntry& b) {
  return std::equal(a.versions.begin(), a.versions.end(), b.versions.begin(), b.versions.end(),
                    [](const VersionEntry& one, const VersionEntry& other) {
                      return one.number == other.number && one.mark == other.mark;
                    });
}

// The names below `prefix` whose versions are not the same in both; a merge of two sorted maps.
std::vector<std::string> ChangedNames(const StoreSnapshot& before, const StoreSnapshot& after,
                                      std::string_view prefix) {
  std::vector<std::string> changed;
  const auto add = [&](const std::string& name) {
    if (IsBelow(name, prefix)) changed.push_back(name);
  };
  const auto& old_secrets = before.index().secrets;
  const auto& new_secrets = after.index().secrets;
  auto old_it = old_secrets.begin();
  auto new_it = new_secrets.begin();
  while (old_it != old_secrets.end() || new_it != new_secrets.end()) {
    const bool only_old = new_it == new_secrets.end() ||
                          (old_it != old_secrets.end() && old_it->first < new_it->first);
    const bool only_new =
        !only_old && (old_it == old_secrets.end() || new_it->first < old_it->first);
    if (only_old) {
      add((old_it++)->first);
    } else if (only_new) {
      add((new_it++)->first);
    } else {
      if (!SameVersions(old_it->second, new_it->second)) add(new_it->first);
      ++old_it;
      ++new_it;
    }
  }
  return changed;
}

// The components directly below `prefix`, each once. Whole subtrees are skipped by one search.
std::map<std::string, ListEntry> NamesBelow(const local::StoreIndex& index,
                                            const std::string& prefix) {
  std::map<std::string, ListEntry> entries;
  const std::string base = prefix.empty() ? "" : prefix + "/";
  auto it = index.secrets.lower_bound(base);
  while (it != index.secrets.end() && it->first.starts_with(base)) {
    const std::string_view rest = std::string_view(it->first).substr(base.size());
    const size_t slash = rest.find('/');
    const std::string component(rest.substr(0, slash));
    ListEntry& entry = entries[component];
    entry.name = component;
    if (slash == std::string_view::npos) {
      entry.is_secret = true;
      ++it;
    } else {
      entry.is_prefix = true;
      // The first name after all that begin with "component/": '0' follows '/'.
      it = index.secrets.lower_bound(Format("{}{}0", base, component));
    }
  }
  return entries;
}

class LocalProvider final : public Provider {
 public:
  LocalProvider(const LocalStoreConfig& config, asio::io_context& context, const Clock& clock)
      : path_(config.path), key_(config.key), context_(context), clock_(clock) {}

  Capabilities capabilities() const override {
    return {.list = true, .watch = true, .structured = false, .batch_size = kBatchSize};
  }

  asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                RequestContext) override {
    std::vector<absl::StatusOr<SecretPtr>> results;
    results.reserve(refs.size());
    const absl::StatusOr<SnapshotPtr> snapshot = Current();
    for (const SecretRef& ref : refs) {
      if (snapshot.ok()) {
        results.push_back(Read(**snapshot, ref));
      } else {
        results.emplace_back(snapshot.status());
      }
    }
    co_return results;
  }

  // One page: the whole answer comes from one generation.
  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string,
                                                 RequestContext) override {
    const absl::StatusOr<SnapshotPtr> snapshot = Current();
    if (!snapshot.ok()) co_return snapshot.status();
    ListPage page;
    for (auto& [name, entry] : NamesBelow((*snapshot)->index(), prefix)) {
      page.entries.push_back(entry);
    }
    if (page.entries.empty() && !prefix.empty()) {
      co_return absl::NotFoundError(Format("the local store has nothing below {}", prefix));
    }
    co_return page;
  }

  asio::awaitable<absl::Status> Watch(std::string prefix, ChangeCallback changed) override {
    // Compared with what was last handed out, so that a change since then is reported at once.
    SnapshotPtr seen = snapshot_;
    absl::StatusOr<FolderWatch> watch = FolderWatch::Make(context_, path_);
    if (!watch.ok()) co_return watch.status();
    bool lost = false;
    const absl::StatusOr<SnapshotPtr> first = Current();
    if (seen == nullptr && first.ok()) seen = *first;
    for (;;) {
      Report(prefix, lost, seen, changed);
      const absl::StatusOr<FolderWatch::Event> event = co_await watch->Next();
      if (!event.ok()) co_return event.status();
      lost = *event == FolderWatch::Event::kLost;
    }
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext) override {
    co_return Current().status();
  }

 private:
  // The newest generation of the file.
  absl::StatusOr<SnapshotPtr> Current() {
    const absl::StatusOr<FileIdentity> identity = local::IdentityOf(path_);
    if (identity.ok() && snapshot_ != nullptr && snapshot_->identity() == *identity) {
      return snapshot_;
    }
    const FileIdentity now = identity.ok() ? *identity : FileIdentity{};
    if (!failure_.ok() && failed_identity_ == now && clock_.Now() < retry_at_) return failure_;
    absl::StatusOr<SnapshotPtr> opened = StoreSnapshot::Open(path_, key_);
    if (opened.ok()) {
      failure_ = absl::OkStatus();
      snapshot_ = *opened;
      return opened;
    }
    // A store that is not there is down, like a server that does not answer: its secrets are not
    // gone.
    const bool is_down =
        absl::IsFailedPrecondition(opened.status()) || absl::IsNotFound(opened.status());
    failure_ = is_down ? absl::UnavailableError(opened.status().message()) : opened.status();
    failed_identity_ = now;
    // A missing file appears with a new identity; only opening can be costly.
    retry_at_ = clock_.Now() + (is_down ? Duration(0) : kRetryDelay);
    return failure_;
  }

  static absl::StatusOr<SecretPtr> Read(const StoreSnapshot& snapshot, const SecretRef& ref) {
    const SecretEntry* entry = snapshot.Find(ref.key);
    if (entry == nullptr) {
      return absl::NotFoundError(Format("the local store has no secret {}", ref.key));
    }
    const VersionEntry* version = local::SelectVersion(*entry, ref.version);
    if (version == nullptr) {
      return absl::NotFoundError(
          Format("the local store has no version {} of {}", ref.version, ref.key));
    }
    absl::StatusOr<SecretBytes> value = snapshot.ReadValue(ref.key, *version);
    if (!value.ok()) return value.status();
    auto secret = std::make_shared<Secret>();
    secret->value = *std::move(value);
    secret->version = local::VersionText(*version);
    secret->changed_at = version->created();
    return SecretPtr(std::move(secret));
  }

  // Tells `changed` how the file differs from `seen`, which becomes what is there now (null while
  // it cannot be opened).
  void Report(const std::string& prefix, bool lost, SnapshotPtr& seen,
              const ChangeCallback& changed) {
    const absl::StatusOr<SnapshotPtr> now = Current();
    ChangeSet changes;
    if (!now.ok()) {
      changes.everything = seen != nullptr;
      seen = nullptr;
    } else {
      changes.everything = lost || (seen == nullptr);
      if (!changes.everything && seen != *now) {
        changes.keys = ChangedNames(*seen, **now, prefix);
      }
      seen = *now;
    }
    if (changes.everything || !changes.keys.empty()) changed(changes);
  }

  const std::string path_;
  KeySource key_;
  asio::io_context& context_;
  const Clock& clock_;
  SnapshotPtr snapshot_;  // the last generation that could be opened
  absl::Status failure_;  // of the last attempt, OK after a success
  FileIdentity failed_identity_;
  MonotonicTime retry_at_;
};

}  // namespace

std::unique_ptr<Provider> MakeLocalProvider(const LocalStoreConfig& config,
                                            asio::io_context& context, const Clock& clock) {
  return std::make_unique<LocalProvider>(local::WithDefaults(config), context, clock);
}

}  // namespace secretfs::providers
