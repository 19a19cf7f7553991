#include "providers/kubernetes/kubernetes_provider.h"

#include <algorithm>
#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>
#include <list>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/http/line_splitter.h"
#include "providers/kubernetes/api_client.h"
#include "providers/kubernetes/authorizer.h"
#include "providers/kubernetes/secret_api.h"
#include "providers/kubernetes/seen_versions.h"

namespace secretfs::providers {
namespace kubernetes {
namespace {

// Names whose versions, and whose last values, are remembered.
constexpr size_t kMostNames = 10'000;

// One event. Its object's annotations may hold the whole Secret once more.
constexpr size_t kEventLimit = size_t{4} << 20;
constexpr std::chrono::seconds kListLimit(30);
// A watch that lasted so long worked; what ended it is no reason to give up.
constexpr std::chrono::seconds kWorkingWatch(5);
constexpr int kMostQuickEnds = 3;

bool SameFields(const Secret& a, const Secret& b) {
  return std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first &&
                             one.second.ConstantTimeEquals(other.second);
                    });
}

// "RESOURCEVERSION@UID" or the first half of it.
bool Names(std::string_view wanted, std::string_view version) {
  return wanted == version || wanted == version.substr(0, version.find('@'));
}

class KubernetesProvider final : public OneByOneProvider {
 public:
  KubernetesProvider(std::shared_ptr<ApiClient> client, const std::string& name_space,
                     const Clock& clock)
      : api_(std::move(client), name_space), name_space_(name_space), clock_(clock) {}
  ~KubernetesProvider() override { api_.Stop(); }

  Capabilities capabilities() const override {
    return {.list = true, .watch = true, .structured = true};
  }

  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                 RequestContext context) override {
    if (!prefix.empty()) {
      co_return absl::NotFoundError(
          Format("namespace {} has nothing below {}: the names of Secrets are not nested",
                 name_space_, prefix));
    }
    std::string all;
    absl::StatusOr<MetadataList> list =
        co_await api_.List(std::move(all), std::move(page), context.deadline);
    if (!list.ok()) co_return list.status();
    ListPage result;
    for (ObjectMetadata& item : list->items) {
      result.entries.push_back({.name = std::move(item.name), .is_secret = true});
    }
    result.next_page = std::move(list->next_page);
    co_return result;
  }

  asio::awaitable<absl::Status> Watch(std::string prefix, ChangeCallback changed) override {
    const Listening listening(listeners_, {prefix, changed});
    // Kept when this ends, so that a watch which is started again misses nothing.
    std::string& position = positions_[prefix];
    for (int quick_ends = 0; quick_ends <= kMostQuickEnds;) {
      if (position.empty()) {
        const absl::Status listed = co_await Catch(&prefix, &position, &changed);
        if (!listed.ok()) co_return listed;
      }
      const MonotonicTime began = clock_.Now();
      const absl::Status status = co_await Follow(&prefix, &position, &changed);
      // A cancelled coroutine must not reach the next co_await: it would throw.
      const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) co_return status;
      const bool has_worked = clock_.Now() - began >= kWorkingWatch;
      quick_ends = has_worked ? 0 : quick_ends + 1;
      if (absl::IsOutOfRange(status)) {
        position.clear();
      } else if (!status.ok() && !has_worked) {
        co_return status;
      }
    }
    co_return absl::UnavailableError(
        Format("Kubernetes at {} ends the watch again and again", api_.client().address()));
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext context) override {
    co_return co_await api_.Check(context.deadline);
  }

 private:
  // Who is to hear of changes: one for each Watch that runs.
  struct Listener {
    std::string only;
    ChangeCallback changed;
  };
  class Listening {
   public:
    Listening(std::list<Listener>& list, Listener listener) : list_(list) {
      place_ = list_.insert(list_.end(), std::move(listener));
    }
    ~Listening() { list_.erase(place_); }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

   private:
    std::list<Listener>& list_;
    std::list<Listener>::iterator place_;
  };

  // Says that a read is under way for as long as it lives.
  class Reading {
   public:
    Reading(KubernetesProvider& provider, std::string name)
        : provider_(provider), name_(std::move(name)) {
      provider_.seen_.ReadBegan(name_);
    }
    ~Reading() {
      if (provider_.seen_.ReadEnded(name_, std::move(found_))) provider_.Report(name_);
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    void Found(std::string version) { found_ = std::move(version); }

   private:
    KubernetesProvider& provider_;
    const std::string name_;
    std::optional<std::string> found_;
  };

  asio::awaitable<absl::StatusOr<SecretPtr>> FetchOne(SecretRef ref,
                                                      MonotonicTime deadline) override {
    if (!IsObjectName(ref.key)) {
      co_return absl::InvalidArgumentError(
          Format("'{}' is no name of a Secret: lower case letters, digits, '-' and '.'", ref.key));
    }
    Reading reading(*this, ref.key);
    std::string name = ref.key;
    absl::StatusOr<Secret> secret = co_await api_.Read(std::move(name), deadline);
    if (absl::IsNotFound(secret.status())) reading.Found("");
    if (!secret.ok()) co_return secret.status();
    reading.Found(secret->version);
    const std::string newest = secret->version;
    SecretPtr result = KeepOrReplace(ref.key, *std::move(secret));
    if (!ref.version.empty() && !Names(ref.version, newest) &&
        !Names(ref.version, result->version)) {
      co_return absl::NotFoundError(
          Format("Secret {}/{} has version {}, and Kubernetes keeps no other; {} is not there",
                 name_space_, ref.key, newest, ref.version));
    }
    co_return result;
  }

  // The last value of `name` if `secret` has the same data: a change of labels, annotations or
  // owners makes a new resource version, but no new value.
  SecretPtr KeepOrReplace(const std::string& name, Secret secret) {
    if (values_.size() >= kMostNames) {
      std::erase_if(values_, [](const auto& entry) { return entry.second.expired(); });
    }
    std::weak_ptr<const Secret>& last = values_[name];
    SecretPtr kept = last.lock();
    if (kept != nullptr && SameFields(*kept, secret)) return kept;
    auto made = std::make_shared<const Secret>(std::move(secret));
    last = made;
    return made;
  }

  void Report(const std::string& name) {
    for (const Listener& listener : listeners_) {
      if (listener.only.empty() || listener.only == name) {
        listener.changed({.everything = false, .keys = {name}});
      }
    }
  }

  // Finds out what is there now (`only`: of that name; all arguments outlive the call), reports
  // what differs from what was read, and sets `position` to where a watch has to begin.
  asio::awaitable<absl::Status> Catch(const std::string* only, std::string* position,
                                      const ChangeCallback* changed) {
    std::string same_only = *only;
    const MonotonicTime deadline = clock_.Now() + kListLimit;
    const absl::StatusOr<MetadataList> list = co_await api_.ListAll(std::move(same_only), deadline);
    if (!list.ok()) co_return list.status();
    *position = list->resource_version;
    ChangeSet changes;
    changes.keys = seen_.Listed(list->items, *only);
    changes.everything = seen_.lost_names();
    if (changes.everything || !changes.keys.empty()) (*changed)(changes);
    co_return absl::OkStatus();
  }

  // Reports events from `position` on, and moves it along, until the watch ends: OK when the server
  // ended it in order, OutOfRange when it does not know any more what happened since `position`.
  asio::awaitable<absl::Status> Follow(const std::string* only, std::string* position,
                                       const ChangeCallback* changed) {
    std::string from = *position;
    std::string same_only = *only;
    const absl::StatusOr<std::unique_ptr<HttpStream>> stream =
        co_await api_.Watch(std::move(same_only), std::move(from));
    if (!stream.ok()) co_return stream.status();
    LineSplitter lines(kEventLimit);
    for (;;) {
      absl::StatusOr<SecretBytes> bytes = co_await (*stream)->Next();
      if (!bytes.ok()) co_return bytes.status();
      if (bytes->empty()) break;
      lines.Add(*std::move(bytes));
      ChangeSet changes;
      const absl::Status status = TakeEvents(lines, position, changes);
      if (!changes.keys.empty()) (*changed)(changes);
      if (!status.ok()) co_return status;
    }
    if (lines.has_part()) co_return absl::UnavailableError("the watch was cut inside an event");
    co_return absl::OkStatus();
  }

  // Whatever of `lines` is whole.
  absl::Status TakeEvents(LineSplitter& lines, std::string* position, ChangeSet& changes) {
    for (;;) {
      absl::StatusOr<std::optional<SecretBytes>> line = lines.Next();
      // Not OutOfRange, which has another meaning here.
      if (!line.ok()) return absl::UnavailableError(line.status().message());
      if (!line->has_value()) return absl::OkStatus();
      if ((*line)->empty()) continue;
      SECRETFS_ASSIGN_OR_RETURN(const WatchEvent event, ParseWatchEvent((*line)->ExposeAsText()));
      if (event.type == WatchEvent::Type::kError) {
        const std::string message =
            Format("Kubernetes at {} ends the watch: {} ({})", api_.client().address(),
                   event.error_message, event.error_code);
        if (event.error_code == 410) return absl::OutOfRangeError(message);
        return absl::UnavailableError(message);
      }
      *position = event.resource_version;
      if (event.type == WatchEvent::Type::kBookmark) continue;
      const bool deleted = event.type == WatchEvent::Type::kDeleted;
      if (seen_.IsNews(event.object.name, deleted ? "" : event.object.version)) {
        changes.keys.push_back(event.object.name);
      }
    }
  }

  SecretApi api_;
  const std::string name_space_;
  const Clock& clock_;
  SeenVersions seen_{kMostNames};
  std::map<std::string, std::weak_ptr<const Secret>, std::less<>> values_;
  std::list<Listener> listeners_;
  // The resource version up to which the watch of each prefix has reported everything.
  std::map<std::string, std::string, std::less<>> positions_;
};

absl::Status CheckNames(const KubernetesStoreConfig& config) {
  if (!IsObjectName(config.remote_namespace)) {
    return absl::InvalidArgumentError(
        Format("remoteNamespace '{}' is no name of a namespace", config.remote_namespace));
  }
  const auto& account = config.service_account;
  if (account.has_value() && (!IsObjectName(account->name) || !IsObjectName(account->name_space))) {
    return absl::InvalidArgumentError(
        Format("auth.serviceAccount '{}/{}' is no name of a service account in a namespace",
               account->name_space, account->name));
  }
  return absl::OkStatus();
}

// A client certificate says who asks, and wins over a token at the server.
TlsConfig WithoutClientCertificate(TlsConfig tls) {
  tls.client_certificate_file.clear();
  tls.client_key_file.clear();
  tls.client_certificate = nullptr;
  tls.client_key = nullptr;
  return tls;
}

absl::StatusOr<std::shared_ptr<ApiClient>> MakeClient(const KubernetesStoreConfig& config,
                                                      asio::io_context& context,
                                                      const Clock& clock) {
  const KubernetesAccess& server = config.server;
  if (!config.service_account.has_value()) {
    SECRETFS_ASSIGN_OR_RETURN(std::shared_ptr<Authorizer> authorizer,
                              MakeAuthorizer(server, context, clock));
    return ApiClient::Make(server.url, server.tls, std::move(authorizer), context, clock);
  }
  const KubernetesAccess& home = config.home.url.empty() ? server : config.home;
  SECRETFS_ASSIGN_OR_RETURN(std::shared_ptr<Authorizer> home_authorizer,
                            MakeAuthorizer(home, context, clock));
  SECRETFS_ASSIGN_OR_RETURN(
      std::shared_ptr<ApiClient> issuer,
      ApiClient::Make(home.url, home.tls, std::move(home_authorizer), context, clock));
  return ApiClient::Make(
      server.url, WithoutClientCertificate(server.tls),
      MakeServiceAccountAuthorizer(*config.service_account, std::move(issuer), context, clock),
      context, clock);
}

}  // namespace
}  // namespace kubernetes

absl::StatusOr<std::shared_ptr<Provider>> MakeKubernetesProvider(
    const KubernetesStoreConfig& config, asio::io_context& context, const Clock& clock,
    Scheduler&) {
  SECRETFS_RETURN_IF_ERROR(kubernetes::CheckNames(config));
  if (config.server.url.empty()) {
    return absl::InvalidArgumentError("no API server is given: set server.url, or kubeconfig");
  }
  SECRETFS_ASSIGN_OR_RETURN(std::shared_ptr<kubernetes::ApiClient> client,
                            kubernetes::MakeClient(config, context, clock));
  return std::make_shared<kubernetes::KubernetesProvider>(std::move(client),
                                                          config.remote_namespace, clock);
}

}  // namespace secretfs::providers
