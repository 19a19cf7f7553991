#include "providers/vault/vault_response.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "providers/content_version.h"
#include "providers/secret_json.h"
#include "providers/vault/vault_key.h"

namespace secretfs::providers::vault {
namespace {

constexpr size_t kErrorTextLimit = 200;
// 68 years: longer leases are the same to everybody, and nanoseconds do not overflow.
constexpr int64_t kDurationLimit = int64_t{1} << 31;

bool BoolMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  return member != nullptr && member->is_boolean() && member->get<bool>();
}

// Whole numbers only; anything else counts as not there.
std::optional<int64_t> IntegerMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  if (member == nullptr || !member->is_number_integer()) return std::nullopt;
  if (member->is_number_unsigned()) {
    const uint64_t value = member->get<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  return member->get<int64_t>();
}

std::chrono::seconds SecondsMember(const SecretJson& json, std::string_view name) {
  const int64_t seconds = IntegerMember(json, name).value_or(0);
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, kDurationLimit));
}

absl::Status Unexpected(std::string_view what) {
  return absl::UnavailableError(
      Format("the answer is not Vault's: {} (is the address that of a Vault server?)", what));
}

absl::StatusOr<SecretJson> ParseDocument(std::string_view body) {
  absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return Unexpected(MessageOf(document.status()));
  if (!document->is_object()) return Unexpected("it is not a JSON object");
  return document;
}

// Dates and numbers may be shown; whatever else stands in their place may not.
std::string SafeTime(std::string_view text) {
  return ParseTimestamp(text).has_value() ? std::string(text) : std::string();
}

void FillFields(const SecretJson& data, Secret& secret) {
  for (const auto& [name, value] : data.items()) {
    secret.fields.emplace(std::string(name.begin(), name.end()), SecretJsonToBytes(value));
  }
  secret.value = DumpSecretJson(data);
}

// The longest time for which a version with a planned deletion may be used.
std::optional<Duration> UntilDeletion(const SecretJson& metadata, WallTime now) {
  const std::optional<WallTime> deletion = ParseTimestamp(TextMember(metadata, "deletion_time"));
  if (!deletion.has_value()) return std::nullopt;
  return std::max(*deletion - now, Duration(0));
}

Engine EngineOf(const SecretJson& description) {
  const std::string_view type = TextMember(description, "type");
  if (type == "kv" || type == "generic") {
    const SecretJson* options = ObjectMember(description, "options");
    const bool versioned = options != nullptr && TextMember(*options, "version") == "2";
    return versioned ? Engine::kKv2 : Engine::kKv1;
  }
  return Engine::kOther;
}

template <typename Function>
void ForEachErrorText(std::string_view body, Function function) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return;
  const SecretJson* errors = Member(*document, "errors");
  if (errors == nullptr || !errors->is_array()) return;
  for (const SecretJson& error : *errors) {
    if (error.is_string()) function(std::string_view(error.get_ref<const SecretString&>()));
  }
}

}  // namespace

absl::StatusOr<Secret> ParseVersionedSecret(std::string_view body, WallTime now) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* outer = ObjectMember(document, "data");
  if (outer == nullptr) return Unexpected("it has no data");
  const SecretJson* data = ObjectMember(*outer, "data");
  const SecretJson* metadata = ObjectMember(*outer, "metadata");
  if (metadata == nullptr || data == nullptr) {
    return Unexpected("it has no data.data or no data.metadata (is the engine's version 2?)");
  }
  const std::optional<int64_t> number = IntegerMember(*metadata, "version");
  if (!number.has_value()) return Unexpected("it has no data.metadata.version");
  Secret secret;
  FillFields(*data, secret);
  const std::string_view created = TextMember(*metadata, "created_time");
  secret.changed_at = ParseTimestamp(created);
  secret.version = Format("{}@{}", *number, SafeTime(created));
  secret.time_to_live = UntilDeletion(*metadata, now);
  return secret;
}

absl::StatusOr<Secret> ParsePlainSecret(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  if (data == nullptr) return Unexpected("it has no data");
  Secret secret;
  FillFields(*data, secret);
  const std::string_view lease_id = TextMember(document, "lease_id");
  const std::chrono::seconds duration = SecondsMember(document, "lease_duration");
  if (duration.count() > 0) secret.time_to_live = duration;
  if (lease_id.empty()) {
    secret.version = ContentVersion(secret.value.bytes());
  } else {
    secret.lease = Lease{std::string(lease_id), duration, BoolMember(document, "renewable")};
    secret.version = ContentVersion(std::as_bytes(std::span(lease_id.data(), lease_id.size())));
  }
  return secret;
}

Secret RawSecret(SecretBytes body) {
  Secret secret;
  secret.version = ContentVersion(body.bytes());
  secret.value = std::move(body);
  return secret;
}

std::optional<DeletedVersion> ParseDeletedVersion(std::string_view body) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return std::nullopt;
  const SecretJson* data = ObjectMember(*document, "data");
  const SecretJson* metadata = data == nullptr ? nullptr : ObjectMember(*data, "metadata");
  const std::optional<int64_t> number =
      metadata == nullptr ? std::nullopt : IntegerMember(*metadata, "version");
  if (!number.has_value()) return std::nullopt;
  return DeletedVersion{*number, SafeTime(TextMember(*metadata, "deletion_time")),
                        BoolMember(*metadata, "destroyed")};
}

absl::StatusOr<std::vector<ListEntry>> ParseList(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  const SecretJson* keys = data == nullptr ? nullptr : Member(*data, "keys");
  if (keys == nullptr || !keys->is_array()) return Unexpected("it has no data.keys");
  std::map<std::string, ListEntry> entries;
  for (const SecretJson& key : *keys) {
    if (!key.is_string()) return Unexpected("a name in data.keys is not a string");
    std::string_view name = key.get_ref<const SecretString&>();
    const bool is_prefix = name.ends_with('/');
    if (is_prefix) name.remove_suffix(1);
    // Other names cannot be asked for (see ParseKey), so showing them would only make errors.
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos) continue;
    ListEntry& entry = entries[std::string(name)];
    entry.name = name;
    (is_prefix ? entry.is_prefix : entry.is_secret) = true;
  }
  std::vector<ListEntry> result;
  result.reserve(entries.size());
  for (auto& [name, entry] : entries) result.push_back(std::move(entry));
  return result;
}

absl::StatusOr<Mount> ParseMount(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  if (data == nullptr) return Unexpected("it has no data");
  Mount mount{WithoutEndSlashes(TextMember(*data, "path")), EngineOf(*data)};
  if (mount.path.empty()) return Unexpected("it has no data.path");
  return mount;
}

absl::StatusOr<std::vector<Mount>> ParseMounts(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  const SecretJson* engines = data == nullptr ? nullptr : ObjectMember(*data, "secret");
  if (engines == nullptr) return Unexpected("it has no data.secret");
  std::vector<Mount> mounts;
  for (const auto& [path, description] : engines->items()) {
    Mount mount{WithoutEndSlashes(std::string_view(path.data(), path.size())),
                EngineOf(description)};
    if (!mount.path.empty()) mounts.push_back(std::move(mount));
  }
  return mounts;
}

absl::StatusOr<TokenGrant> ParseTokenGrant(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* auth = ObjectMember(document, "auth");
  const std::string_view token = auth == nullptr ? "" : TextMember(*auth, "client_token");
  if (token.empty()) return Unexpected("it has no auth.client_token");
  return TokenGrant{SecretBytes::CopyOf(token), SecondsMember(*auth, "lease_duration"),
                    BoolMember(*auth, "renewable")};
}

absl::StatusOr<TokenGrant> ParseTokenLookup(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  if (data == nullptr || !IntegerMember(*data, "ttl").has_value()) {
    return Unexpected("it has no data.ttl");
  }
  return TokenGrant{SecretBytes(), SecondsMember(*data, "ttl"), BoolMember(*data, "renewable")};
}

absl::StatusOr<Lease> ParseLease(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const std::string_view id = TextMember(document, "lease_id");
  if (id.empty()) return Unexpected("it has no lease_id");
  return Lease{std::string(id), SecondsMember(document, "lease_duration"),
               BoolMember(document, "renewable")};
}

absl::StatusOr<SecretBytes> ParseDataField(std::string_view body, std::string_view field) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* data = ObjectMember(document, "data");
  const std::string_view value = data == nullptr ? "" : TextMember(*data, field);
  if (value.empty()) return Unexpected(Format("it has no data.{}", field));
  return SecretBytes::CopyOf(value);
}

std::string ErrorTexts(std::string_view body) {
  std::string line;
  ForEachErrorText(body, [&line](std::string_view text) {
    if (!line.empty()) line += "; ";
    for (const char c : text) {
      if (line.size() >= kErrorTextLimit) break;
      const bool printable = c >= ' ' && c <= '~';
      // Go's multi-error lists are spread over lines; runs of space become one.
      if (printable && !(c == ' ' && line.ends_with(' '))) line.push_back(c);
      if (!printable && !line.empty() && !line.ends_with(' ')) line.push_back(' ');
    }
  });
  if (line.size() > kErrorTextLimit) line.resize(kErrorTextLimit);
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

bool HasErrorText(std::string_view body, std::string_view text) {
  bool found = false;
  ForEachErrorText(body, [&](std::string_view error) {
    found = found || error.find(text) != std::string_view::npos;
  });
  return found;
}

}  // namespace secretfs::providers::vault
