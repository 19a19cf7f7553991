#include "providers/vault/engines.h"

#include <set>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

bool IsJson(const HttpResponse& response) {
  const auto type = response.headers.find("content-type");
  return type != response.headers.end() && type->second.starts_with("application/json");
}

absl::StatusOr<Secret> ParseAnswer(HttpResponse response, Engine engine, WallTime now) {
  if (engine == Engine::kKv2) return ParseVersionedSecret(response.body.ExposeAsText(), now);
  if (IsJson(response)) return ParsePlainSecret(response.body.ExposeAsText());
  return RawSecret(std::move(response.body));
}

// Why there is nothing, where Vault says more than 404.
absl::Status Missing(const Client& client, const Location& location, std::string_view body,
                     const absl::Status& status) {
  const std::string where = Format("Vault at {}, {}", client.address(), DisplayPath(location));
  if (location.engine == Engine::kKv2) {
    if (const std::optional<DeletedVersion> deleted = ParseDeletedVersion(body)) {
      return absl::NotFoundError(
          Format("{}: version {} was {} at {}", where, deleted->number,
                 deleted->destroyed ? "destroyed" : "deleted",
                 deleted->deleted_at.empty() ? "an unknown time" : deleted->deleted_at));
    }
  }
  if (HasErrorText(body, "no handler for route")) {
    return absl::NotFoundError(Format("{}: no secrets engine is mounted there (HTTP 404)", where));
  }
  return status;
}

}  // namespace

asio::awaitable<ReadResult> ReadSecret(std::shared_ptr<Client> client, Location location,
                                       std::string version, TokenBytes token,
                                       MonotonicTime deadline) {
  if (!version.empty() && location.engine != Engine::kKv2) {
    co_return ReadResult{absl::InvalidArgumentError(
        Format("Vault at {}, {}: a version can be chosen in key-value engines of version 2 only",
               client->address(), DisplayPath(location)))};
  }
  if (location.path.empty()) {
    co_return ReadResult{absl::NotFoundError(Format(
        "Vault at {}: '{}' is a secrets engine, not a secret", client->address(), location.mount))};
  }
  Call call;
  call.path = ReadPath(location);
  if (!version.empty()) call.query = Format("version={}", version);
  call.token = std::move(token);
  call.deadline = deadline;
  call.answer_limit = kSecretAnswerLimit;
  absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(call));
  if (!response.ok()) co_return ReadResult{response.status(), false, true};

  const std::string doing =
      Format("reading {}{}{}", DisplayPath(location), version.empty() ? "" : " version ", version);
  absl::Status status = client->StatusOf(*response, doing);
  if (status.ok()) {
    absl::StatusOr<Secret> secret =
        ParseAnswer(std::move(*response), location.engine, client->clock().WallNow());
    if (secret.ok()) co_return ReadResult{std::make_shared<const Secret>(std::move(*secret))};
    co_return ReadResult{
        WithContext(secret.status(), Format("Vault at {}, {}", client->address(), doing))};
  }
  const bool token_is_invalid = SaysInvalidToken(*response);
  const std::string_view body = response->body.ExposeAsText();
  const bool is_deleted = location.engine == Engine::kKv2 && ParseDeletedVersion(body).has_value();
  if (absl::IsNotFound(status)) status = Missing(*client, location, body, status);
  const bool is_final = IsTransient(status) || is_deleted;
  co_return ReadResult{status, token_is_invalid, is_final};
}

asio::awaitable<ListResult> ListNames(std::shared_ptr<Client> client, Location location,
                                      TokenBytes token, MonotonicTime deadline) {
  Call call;
  call.path = ListPath(location);
  // The same as the method LIST, which some proxies do not let through.
  call.query = "list=true";
  call.token = std::move(token);
  call.deadline = deadline;
  call.answer_limit = kListAnswerLimit;
  const absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(call));
  if (!response.ok()) co_return ListResult{response.status(), false, true};

  const std::string doing = Format("listing {}", DisplayPath(location));
  absl::Status status = client->StatusOf(*response, doing);
  const std::string_view body = response->body.ExposeAsText();
  if (status.ok()) {
    absl::StatusOr<std::vector<ListEntry>> entries = ParseList(body);
    if (entries.ok()) co_return ListResult{std::move(entries)};
    co_return ListResult{
        WithContext(entries.status(), Format("Vault at {}, {}", client->address(), doing))};
  }
  if (absl::IsNotFound(status)) {
    const bool engine_exists = !HasErrorText(body, "no handler for route");
    if (location.path.empty() && engine_exists) co_return ListResult{std::vector<ListEntry>()};
    status = Missing(*client, location, body, status);
  }
  co_return ListResult{status, SaysInvalidToken(*response), IsTransient(status)};
}

asio::awaitable<Outcome<std::vector<ListEntry>>> ListMounts(std::shared_ptr<Mounts> mounts,
                                                            std::string prefix, TokenBytes token,
                                                            MonotonicTime deadline) {
  const absl::StatusOr<std::vector<Mount>> all = co_await mounts->All(token, deadline);
  if (!all.ok()) {
    co_return Outcome<std::vector<ListEntry>>{all.status(), absl::IsUnauthenticated(all.status())};
  }
  std::set<std::string> names;
  for (const Mount& mount : *all) {
    if (mount.engine == Engine::kOther) continue;
    std::string_view rest = mount.path;
    if (!prefix.empty()) {
      if (rest.size() <= prefix.size() || !IsBelow(rest, prefix)) continue;
      rest.remove_prefix(prefix.size() + 1);
    }
    names.emplace(rest.substr(0, rest.find('/')));
  }
  std::vector<ListEntry> entries;
  for (const std::string& name : names) entries.push_back({name, false, true});
  if (entries.empty() && !prefix.empty()) {
    co_return Outcome<std::vector<ListEntry>>{absl::NotFoundError(
        Format("no secrets engine below '{}' is visible to the token", prefix))};
  }
  co_return Outcome<std::vector<ListEntry>>{std::move(entries)};
}

}  // namespace secretfs::providers::vault
