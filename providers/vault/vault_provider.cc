#include "providers/vault/vault_provider.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/vault/authenticator.h"
#include "providers/vault/engines.h"
#include "providers/vault/leases.h"
#include "providers/vault/mounts.h"
#include "providers/vault/outcome.h"
#include "providers/vault/session.h"
#include "providers/vault/vault_client.h"
#include "providers/vault/vault_key.h"

namespace secretfs::providers {
namespace vault {
namespace {

// Keys whose reading is remembered; forgotten all together when there are more.
constexpr size_t kRememberedReadings = 10'000;

absl::StatusOr<Engine> ConfiguredEngine(const VaultStoreConfig& config) {
  if (config.version.empty()) return Engine::kUnknown;
  if (config.version == "v1") return Engine::kKv1;
  if (config.version == "v2") return Engine::kKv2;
  return absl::InvalidArgumentError(Format(
      "the Vault store's version must be v1 or v2, or be left out; not '{}'", config.version));
}

// Of several readings' failures the one that says most: that there is nothing beats that one may
// not know, and both beat that a path makes no sense.
bool SaysMore(const absl::Status& candidate, const absl::Status& than) {
  if (than.ok()) return true;
  const auto rank = [](const absl::Status& status) {
    if (absl::IsNotFound(status)) return 2;
    return absl::IsPermissionDenied(status) ? 1 : 0;
  };
  return rank(candidate) > rank(than);
}

class VaultProvider final : public OneByOneProvider {
 public:
  VaultProvider(std::string mount, Engine engine, std::shared_ptr<Client> client,
                std::shared_ptr<Session> session)
      : mount_(std::move(mount)),
        engine_(engine),
        client_(std::move(client)),
        session_(std::move(session)),
        mounts_(std::make_shared<Mounts>(client_)) {}
  ~VaultProvider() override { client_->Stop(); }

  Capabilities capabilities() const override { return {.list = true, .structured = true}; }

  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string,
                                                 RequestContext context) override {
    const absl::StatusOr<std::string> parsed = ParsePrefix(prefix);
    if (!parsed.ok()) co_return parsed.status();
    const MonotonicTime deadline = context.deadline;
    Operation<Entries> list = [this, path = *parsed, deadline](TokenBytes token) {
      return ListOnce(path, std::move(token), deadline);
    };
    absl::StatusOr<Entries> entries = co_await RunWithToken(session_, std::move(list), deadline);
    if (!entries.ok()) co_return entries.status();
    co_return ListPage{std::move(*entries), ""};
  }

  asio::awaitable<absl::StatusOr<Lease>> Renew(Lease lease, RequestContext context) override {
    Operation<Lease> renew = [this, lease, context](TokenBytes token) {
      return RenewLease(client_, lease, std::move(token), context.deadline);
    };
    co_return co_await RunWithToken(session_, std::move(renew), context.deadline);
  }

  asio::awaitable<absl::Status> Revoke(Lease lease, RequestContext context) override {
    Operation<bool> revoke = [this, lease, context](TokenBytes token) {
      return RevokeLease(client_, lease, std::move(token), context.deadline);
    };
    const absl::StatusOr<bool> done =
        co_await RunWithToken(session_, std::move(revoke), context.deadline);
    co_return done.status();
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext context) override {
    co_return co_await session_->Check(context.deadline);
  }

  asio::awaitable<void> Close(RequestContext context) override {
    co_await session_->Close(context.deadline);
  }

 private:
  using Entries = std::vector<ListEntry>;
  using Found = std::optional<Mount>;

  asio::awaitable<absl::StatusOr<SecretPtr>> FetchOne(SecretRef ref,
                                                      MonotonicTime deadline) override {
    const absl::StatusOr<ParsedKey> key = ParseKey(ref);
    if (!key.ok()) co_return key.status();
    Operation<SecretPtr> read = [this, key = *key, deadline](TokenBytes token) {
      return ReadOnce(key, std::move(token), deadline);
    };
    co_return co_await RunWithToken(session_, std::move(read), deadline);
  }

  // The configured mount, with its engine as far as it is known; or the one that `path` lies in.
  asio::awaitable<absl::StatusOr<Found>> MountOf(std::string path, TokenBytes token,
                                                 MonotonicTime deadline) {
    if (mount_.empty()) co_return co_await mounts_->Find(path, token, deadline);
    if (engine_ != Engine::kUnknown) co_return Mount{mount_, engine_};
    absl::StatusOr<Found> found = co_await mounts_->Find(mount_, token, deadline);
    if (!found.ok()) co_return found.status();
    if (!found->has_value()) co_return Mount{mount_, Engine::kUnknown};
    if ((*found)->path != mount_) {
      co_return absl::FailedPreconditionError(Format(
          "Vault at {}: the store's path '{}' is not a mount but lies in '{}': configure that, and "
          "begin the keys with the rest",
          client_->address(), mount_, (*found)->path));
    }
    co_return found;
  }

  asio::awaitable<Outcome<SecretPtr>> ReadOnce(ParsedKey key, TokenBytes token,
                                               MonotonicTime deadline) {
    const absl::StatusOr<Found> mount = co_await MountOf(key.path, token, deadline);
    if (!mount.ok()) co_return Outcome<SecretPtr>{mount.status(), IsTokenRefusal(mount.status())};
    const std::vector<Location> readings = ReadingsInOrder(key.path, *mount);
    absl::Status failure;
    for (size_t i = 0; i < readings.size(); ++i) {
      const Location& location = readings[i];
      ReadResult read = co_await ReadSecret(client_, location, key.version, token, deadline);
      if (read.result.ok()) {
        Remember(key.path, location, i > 0);
        co_return Outcome<SecretPtr>{std::move(read.result)};
      }
      if (read.token_is_invalid || read.is_final) {
        co_return Outcome<SecretPtr>{std::move(read.result), read.token_is_invalid};
      }
      if (SaysMore(read.result.status(), failure)) failure = read.result.status();
    }
    remembered_.erase(key.path);
    if (mount->has_value() && !absl::IsPermissionDenied(failure)) mounts_->Doubt((*mount)->path);
    co_return Outcome<SecretPtr>{failure};
  }

  std::vector<Location> ReadingsInOrder(const std::string& path, const Found& mount) const {
    std::vector<Location> readings =
        mount.has_value() ? Readings(path, *mount, !mount_.empty()) : ReadingsWithoutMount(path);
    const auto remembered = remembered_.find(path);
    if (remembered == remembered_.end()) return readings;
    const auto found = std::find(readings.begin(), readings.end(), remembered->second);
    if (found != readings.end()) std::rotate(readings.begin(), found, found + 1);
    return readings;
  }

  // A reading that is not the first in line is tried first the next time.
  void Remember(const std::string& path, const Location& location, bool was_not_first) {
    if (!was_not_first) return;
    if (remembered_.size() >= kRememberedReadings) remembered_.clear();
    remembered_.insert_or_assign(path, location);
  }

  asio::awaitable<Outcome<Entries>> ListOnce(std::string prefix, TokenBytes token,
                                             MonotonicTime deadline) {
    if (prefix.empty() && mount_.empty()) {
      co_return co_await ListMounts(mounts_, prefix, token, deadline);
    }
    const absl::StatusOr<Found> mount = co_await MountOf(prefix, token, deadline);
    if (!mount.ok()) co_return Outcome<Entries>{mount.status(), IsTokenRefusal(mount.status())};
    if (!mount->has_value()) {
      // Perhaps the prefix lies above mounts, as "team" does above "team/kv".
      Outcome<Entries> above = co_await ListMounts(mounts_, prefix, token, deadline);
      if (above.result.ok()) co_return above;
    }
    absl::Status failure;
    for (const Location& location : ListReadings(prefix, *mount)) {
      ListResult list = co_await ListNames(client_, location, token, deadline);
      if (list.result.ok() || list.token_is_invalid || list.is_final) {
        co_return Outcome<Entries>{std::move(list.result), list.token_is_invalid};
      }
      if (SaysMore(list.result.status(), failure)) failure = list.result.status();
    }
    co_return Outcome<Entries>{failure};
  }

  std::vector<Location> ListReadings(const std::string& prefix, const Found& mount) const {
    if (!mount.has_value()) return ReadingsWithoutMount(prefix);
    return Readings(prefix, *mount, !mount_.empty());
  }

  static bool IsTokenRefusal(const absl::Status& status) { return absl::IsUnauthenticated(status); }

  const std::string mount_;  // empty: keys are full paths
  const Engine engine_;      // of the configured mount; kUnknown: detected
  std::shared_ptr<Client> client_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Mounts> mounts_;
  // Keys that were found by another reading than their first.
  std::map<std::string, Location, std::less<>> remembered_;
};

absl::StatusOr<std::string> NormalMount(std::string_view path) {
  SECRETFS_ASSIGN_OR_RETURN(const std::string mount, ParsePrefix(path));
  return mount;
}

}  // namespace
}  // namespace vault

absl::StatusOr<std::shared_ptr<Provider>> MakeVaultProvider(const VaultStoreConfig& config,
                                                            asio::io_context& context,
                                                            const Clock& clock,
                                                            Scheduler& scheduler) {
  SECRETFS_ASSIGN_OR_RETURN(const vault::Engine engine, vault::ConfiguredEngine(config));
  SECRETFS_ASSIGN_OR_RETURN(std::string mount, vault::NormalMount(config.path));
  SECRETFS_ASSIGN_OR_RETURN(std::shared_ptr<vault::Client> client,
                            vault::Client::Make(config, context, clock));
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<vault::Authenticator> authenticator,
                            vault::MakeAuthenticator(config.auth, client));
  auto session = std::make_shared<vault::Session>(client, std::move(authenticator), scheduler);
  return std::make_shared<vault::VaultProvider>(std::move(mount), engine, std::move(client),
                                                std::move(session));
}

}  // namespace secretfs::providers
