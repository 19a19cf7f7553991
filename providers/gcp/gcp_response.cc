#include "providers/gcp/gcp_response.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/crc32c.h"
#include "providers/gcp/gcp_key.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::gcp {
namespace {

constexpr size_t kLongestPageToken = 4096;
constexpr size_t kLongestIdentifier = 64;
constexpr double kLongestRetryDelay = 24 * 3600;  // seconds

absl::Status NotSecretManager(std::string_view what) {
  return absl::UnavailableError(Format("the answer is not Secret Manager's: {}", what));
}

absl::StatusOr<SecretJson> ParseObject(std::string_view body) {
  absl::StatusOr<SecretJson> json = ParseSecretJson(body);
  if (!json.ok()) return NotSecretManager(MessageOf(json.status()));
  if (!json->is_object()) return NotSecretManager("it is no JSON object");
  return json;
}

const SecretJson* Find(const SecretJson& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// "" when it is not there or no text.
std::string_view TextOf(const SecretJson& object, const char* name) {
  const SecretJson* value = Find(object, name);
  const auto* text = value == nullptr ? nullptr : value->get_ptr<const SecretString*>();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::string_view LastComponent(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// int64 travels as text in Google's JSON.
std::optional<int64_t> IntegerOf(const SecretJson& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  const auto* text = value.get_ptr<const SecretString*>();
  if (text == nullptr) return std::nullopt;
  int64_t number = 0;
  const auto end = std::from_chars(text->data(), text->data() + text->size(), number);
  if (end.ec != std::errc() || end.ptr != text->data() + text->size()) return std::nullopt;
  return number;
}

absl::Status CheckSum(const SecretJson& payload, const SecretBytes& value) {
  const SecretJson* sum = Find(payload, "dataCrc32c");
  if (sum == nullptr) return absl::OkStatus();
  const std::optional<int64_t> wanted = IntegerOf(*sum);
  if (!wanted.has_value()) return NotSecretManager("the checksum is no number");
  if (*wanted == static_cast<int64_t>(Crc32c(value.bytes()))) return absl::OkStatus();
  return absl::UnavailableError(
      "the value does not match its checksum (CRC32C): it was damaged on its way");
}

absl::StatusOr<std::string> PageTokenOf(const SecretJson& answer) {
  const std::string_view token = TextOf(answer, "nextPageToken");
  if (token.size() > kLongestPageToken) return NotSecretManager("the page token is too long");
  return std::string(token);
}

// The objects of the list `name`; none when it is not there.
absl::StatusOr<const SecretJson::array_t*> ListOf(const SecretJson& answer, const char* name) {
  static const auto& kNone = *new SecretJson::array_t();
  const SecretJson* list = Find(answer, name);
  if (list == nullptr) return &kNone;
  const auto* items = list->get_ptr<const SecretJson::array_t*>();
  if (items == nullptr) return NotSecretManager(Format("'{}' is no list", name));
  const bool objects = std::all_of(items->begin(), items->end(),
                                   [](const SecretJson& item) { return item.is_object(); });
  if (!objects) return NotSecretManager(Format("'{}' holds something else than objects", name));
  return items;
}

// Identifiers only, so that nothing else can get into a message.
std::string IdentifierOf(std::string_view text) {
  const bool good =
      text.size() <= kLongestIdentifier && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      });
  return good ? std::string(text) : "";
}

// "3.5s"
std::optional<std::chrono::milliseconds> DurationOf(std::string_view text) {
  if (!text.ends_with('s')) return std::nullopt;
  text.remove_suffix(1);
  double seconds = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  if (!(seconds >= 0)) return std::nullopt;
  return std::chrono::milliseconds(
      static_cast<int64_t>(std::min(seconds, kLongestRetryDelay) * 1000));
}

void ReadDetails(const SecretJson& error, ApiError& result) {
  const absl::StatusOr<const SecretJson::array_t*> details = ListOf(error, "details");
  if (!details.ok()) return;
  for (const SecretJson& detail : **details) {
    const std::string_view type = LastComponent(TextOf(detail, "@type"));
    if (type == "google.rpc.ErrorInfo") result.reason = IdentifierOf(TextOf(detail, "reason"));
    if (type == "google.rpc.RetryInfo") {
      result.retry_delay = DurationOf(TextOf(detail, "retryDelay"));
    }
  }
}

}  // namespace

absl::StatusOr<AccessedVersion> ParseAccess(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson answer, ParseObject(body));
  AccessedVersion version;
  const std::string_view number = LastComponent(TextOf(answer, "name"));
  if (!IsVersionNumber(number)) return NotSecretManager("it names no version");
  version.number = number;
  const SecretJson* payload = Find(answer, "payload");
  if (payload == nullptr || !payload->is_object()) return NotSecretManager("it has no payload");
  // A field with an empty value may be left out.
  const SecretJson* data = Find(*payload, "data");
  if (data != nullptr && !data->is_string()) return NotSecretManager("the value is no text");
  std::optional<SecretBytes> value = DecodeBase64(TextOf(*payload, "data"), Base64Form::kStandard);
  if (!value.has_value()) return NotSecretManager("the value is not in base64");
  version.value = *std::move(value);
  SECRETFS_RETURN_IF_ERROR(CheckSum(*payload, version.value));
  return version;
}

absl::StatusOr<SecretPage> ParseSecretList(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson answer, ParseObject(body));
  SecretPage page;
  SECRETFS_ASSIGN_OR_RETURN(page.next_page, PageTokenOf(answer));
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson::array_t* const secrets, ListOf(answer, "secrets"));
  for (const SecretJson& secret : *secrets) {
    const std::string_view name = LastComponent(TextOf(secret, "name"));
    if (!IsSecretId(name)) return NotSecretManager("a secret has no usable name");
    page.names.emplace_back(name);
  }
  return page;
}

absl::StatusOr<VersionPage> ParseVersionList(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson answer, ParseObject(body));
  VersionPage page;
  SECRETFS_ASSIGN_OR_RETURN(page.next_page, PageTokenOf(answer));
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson::array_t* const versions, ListOf(answer, "versions"));
  for (const SecretJson& version : *versions) {
    const std::string_view number = LastComponent(TextOf(version, "name"));
    if (!IsVersionNumber(number)) return NotSecretManager("a version has no number");
    if (TextOf(version, "state") == "ENABLED") page.enabled.emplace_back(number);
  }
  return page;
}

std::optional<ApiError> ParseApiError(std::string_view body) {
  const absl::StatusOr<SecretJson> json = ParseSecretJson(body);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  const SecretJson* error = Find(*json, "error");
  if (error == nullptr || !error->is_object()) return std::nullopt;
  ApiError result;
  result.status = IdentifierOf(TextOf(*error, "status"));
  if (result.status.empty()) return std::nullopt;
  const std::string_view message = TextOf(*error, "message");
  result.version_is_disabled = message.find("DISABLED state") != std::string_view::npos;
  result.version_is_destroyed = message.find("DESTROYED state") != std::string_view::npos;
  ReadDetails(*error, result);
  return result;
}

}  // namespace secretfs::providers::gcp
