#include "providers/kubernetes/kubernetes_response.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::kubernetes {
namespace {

constexpr size_t kShownMessage = 300;

absl::Status NotTheApi(std::string_view what) {
  return absl::UnavailableError(
      Format("the answer is not what the Kubernetes API promises: {}", what));
}

absl::StatusOr<SecretJson> ParseObject(std::string_view text) {
  absl::StatusOr<SecretJson> json = ParseSecretJson(text);
  if (!json.ok()) return NotTheApi(MessageOf(json.status()));
  if (!json->is_object()) return NotTheApi("no JSON object");
  return json;
}

const SecretJson* Member(const SecretJson* object, std::string_view name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto it = object->find(SecretString(name));
  return it == object->end() ? nullptr : &*it;
}

// The text of a member that is a string; nothing otherwise.
std::optional<std::string_view> TextOf(const SecretJson* object, std::string_view name) {
  const SecretJson* member = Member(object, name);
  if (member == nullptr) return std::nullopt;
  const auto* text = member->get_ptr<const SecretString*>();
  if (text == nullptr) return std::nullopt;
  return std::string_view(*text);
}

std::string TextOrEmpty(const SecretJson* object, std::string_view name) {
  return std::string(TextOf(object, name).value_or(std::string_view()));
}

std::optional<WallTime> ParseTime(std::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, &error)) return std::nullopt;
  return absl::ToChronoTime(time);
}

// What resource versions and uids are made of; anything else would not be an API server's.
bool IsPlain(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

absl::StatusOr<std::string> VersionOf(const SecretJson* metadata) {
  const std::string version = TextOrEmpty(metadata, "resourceVersion");
  const std::string uid = TextOrEmpty(metadata, "uid");
  if (!IsPlain(version) || !IsPlain(uid)) {
    return NotTheApi("an object without resourceVersion and uid");
  }
  return Format("{}@{}", version, uid);
}

absl::StatusOr<ObjectMetadata> ParseMetadata(const SecretJson* object) {
  const SecretJson* metadata = Member(object, "metadata");
  ObjectMetadata result;
  result.name = TextOrEmpty(metadata, "name");
  if (result.name.empty()) return NotTheApi("an object without a name");
  SECRETFS_ASSIGN_OR_RETURN(result.version, VersionOf(metadata));
  return result;
}

// The API says when an object was made and when each manager last wrote to it.
std::optional<WallTime> LastChange(const SecretJson* metadata) {
  std::optional<WallTime> last =
      ParseTime(TextOf(metadata, "creationTimestamp").value_or(std::string_view()));
  const SecretJson* managers = Member(metadata, "managedFields");
  if (managers == nullptr || !managers->is_array()) return last;
  for (const SecretJson& manager : *managers) {
    const auto time = ParseTime(TextOf(&manager, "time").value_or(std::string_view()));
    if (time.has_value() && (!last.has_value() || *time > *last)) last = time;
  }
  return last;
}

// One UTF-8 sequence at the begin of `text`: its length, 0 if it is none (RFC 3629).
size_t SequenceLength(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || !continues(1)) return 0;
  if (first < 0xe0) return 2;
  if (first < 0xf0) {
    const bool too_small = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return too_small || surrogate || !continues(2) ? 0 : 3;
  }
  if (first > 0xf4) return 0;
  const bool out_of_range = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
  return out_of_range || !continues(2) || !continues(3) ? 0 : 4;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// One line of printable text: these messages come from outside and go to terminals.
std::string Printable(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kShownMessage)) {
    result += c >= ' ' && c <= '~' ? c : ' ';
  }
  if (text.size() > kShownMessage) result += "…";
  return result;
}

SecretString ToSecretString(const SecretBytes& bytes) { return SecretString(bytes.ExposeAsText()); }

absl::Status NoCredential(std::string_view what) {
  return absl::FailedPreconditionError(
      Format("the credential plugin printed no ExecCredential that can be used: {}", what));
}

}  // namespace

absl::StatusOr<Secret> ParseSecret(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseObject(body));
  if (TextOrEmpty(&document, "kind") != "Secret") return NotTheApi("no Secret");
  const SecretJson* metadata = Member(&document, "metadata");
  Secret secret;
  SECRETFS_ASSIGN_OR_RETURN(secret.version, VersionOf(metadata));
  secret.changed_at = LastChange(metadata);
  SecretJson whole = SecretJson::object();
  const SecretJson* data = Member(&document, "data");
  const auto* entries = data == nullptr ? nullptr : data->get_ptr<const SecretJson::object_t*>();
  // A Secret without data has no such member, or null.
  if (data != nullptr && entries == nullptr && !data->is_null()) {
    return NotTheApi("data is no object");
  }
  for (const auto& [name, encoded] : entries == nullptr ? SecretJson::object_t() : *entries) {
    const auto* text = encoded.get_ptr<const SecretString*>();
    std::optional<SecretBytes> value;
    if (text != nullptr) value = DecodeBase64(*text, Base64Form::kStandard);
    if (!value.has_value()) return NotTheApi("a value that is not base64");
    whole[name] = IsUtf8(value->ExposeAsText()) ? ToSecretString(*value) : *text;
    secret.fields.emplace(std::string(std::string_view(name)), *std::move(value));
  }
  secret.value = DumpSecretJson(whole);
  return secret;
}

absl::StatusOr<MetadataList> ParseMetadataList(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseObject(body));
  const SecretJson* metadata = Member(&document, "metadata");
  MetadataList list;
  list.resource_version = TextOrEmpty(metadata, "resourceVersion");
  if (!IsPlain(list.resource_version)) return NotTheApi("a list without resourceVersion");
  list.next_page = TextOrEmpty(metadata, "continue");
  const SecretJson* items = Member(&document, "items");
  if (items == nullptr || items->is_null()) return list;
  if (!items->is_array()) return NotTheApi("items is no array");
  for (const SecretJson& item : *items) {
    SECRETFS_ASSIGN_OR_RETURN(ObjectMetadata object, ParseMetadata(&item));
    list.items.push_back(std::move(object));
  }
  return list;
}

absl::StatusOr<WatchEvent> ParseWatchEvent(std::string_view line) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseObject(line));
  const std::string type = TextOrEmpty(&document, "type");
  const SecretJson* object = Member(&document, "object");
  WatchEvent event;
  if (type == "ERROR") {
    const SecretJson* code = Member(object, "code");
    const auto* number = code == nullptr ? nullptr : code->get_ptr<const uint64_t*>();
    if (number != nullptr && *number < 1000) event.error_code = static_cast<int>(*number);
    event.error_message = Printable(TextOrEmpty(object, "message"));
    return event;
  }
  event.resource_version = TextOrEmpty(Member(object, "metadata"), "resourceVersion");
  if (!IsPlain(event.resource_version)) return NotTheApi("an event without resourceVersion");
  if (type == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
    return event;
  }
  if (type == "ADDED" || type == "MODIFIED") {
    event.type = WatchEvent::Type::kChanged;
  } else if (type == "DELETED") {
    event.type = WatchEvent::Type::kDeleted;
  } else {
    return NotTheApi("an event of an unknown type");
  }
  SECRETFS_ASSIGN_OR_RETURN(event.object, ParseMetadata(object));
  return event;
}

ApiStatus ParseApiStatus(std::string_view body) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok() || TextOrEmpty(&*document, "kind") != "Status") return {};
  ApiStatus status;
  status.reason = Printable(TextOrEmpty(&*document, "reason"));
  status.message = Printable(TextOrEmpty(&*document, "message"));
  status.next_page = TextOrEmpty(Member(&*document, "metadata"), "continue");
  return status;
}

absl::StatusOr<IssuedToken> ParseTokenRequest(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseObject(body));
  const SecretJson* status = Member(&document, "status");
  const std::string_view token = TextOf(status, "token").value_or(std::string_view());
  const auto expires_at =
      ParseTime(TextOf(status, "expirationTimestamp").value_or(std::string_view()));
  if (token.empty() || !expires_at.has_value()) return NotTheApi("no token with an end");
  return IssuedToken{SecretBytes::CopyOf(token), *expires_at};
}

absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view output,
                                                   std::string_view api_version) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(output);
  if (!document.ok()) return NoCredential(MessageOf(document.status()));
  if (TextOrEmpty(&*document, "kind") != "ExecCredential") return NoCredential("another kind");
  if (TextOrEmpty(&*document, "apiVersion") != api_version) {
    return NoCredential(Format("another apiVersion than the {} of the kubeconfig", api_version));
  }
  const SecretJson* status = Member(&*document, "status");
  const auto bytes_of = [status](std::string_view name) {
    return SecretBytes::CopyOf(TextOf(status, name).value_or(std::string_view()));
  };
  ExecCredential credential;
  credential.token = bytes_of("token");
  credential.client_certificate = bytes_of("clientCertificateData");
  credential.client_key = bytes_of("clientKeyData");
  if (credential.client_certificate.empty() != credential.client_key.empty()) {
    return NoCredential("one half of a client certificate");
  }
  if (credential.token.empty() && credential.client_key.empty()) {
    return NoCredential("neither a token nor a client certificate");
  }
  if (const auto end = TextOf(status, "expirationTimestamp")) {
    credential.expires_at = ParseTime(*end);
    if (!credential.expires_at.has_value())
      return NoCredential("an expirationTimestamp that is no time");
  }
  return credential;
}

}  // namespace secretfs::providers::kubernetes
