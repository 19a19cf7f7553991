#include "providers/azure/azure_response.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/azure/key_material.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::azure {
namespace {

using std::chrono::seconds;

constexpr std::string_view kPkcs12Type = "application/x-pkcs12";
constexpr std::string_view kPemType = "application/x-pem-file";
// 68 years: more is the same to everybody, and nanoseconds do not overflow.
constexpr int64_t kLongestLife = int64_t{1} << 31;
constexpr int64_t kLatestTime = int64_t{1} << 33;
constexpr size_t kLongestCode = 64;

// A whole number, also as text, which the metadata services prefer.
std::optional<int64_t> IntegerMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  if (member == nullptr) return std::nullopt;
  if (member->is_number_unsigned()) {
    const uint64_t value = member->get<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  if (member->is_number_integer()) return member->get<int64_t>();
  const std::string_view text = TextMember(json, name);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status Unexpected(std::string_view what) {
  return absl::UnavailableError(
      Format("the answer is not Azure's: {} (is the address that of a Key Vault?)", what));
}

absl::StatusOr<SecretJson> ParseDocument(std::string_view body) {
  absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return Unexpected(MessageOf(document.status()));
  if (!document->is_object()) return Unexpected("it is not a JSON object");
  return document;
}

bool IsEnabled(const SecretJson& object) {
  const SecretJson* attributes = ObjectMember(object, "attributes");
  const SecretJson* enabled = attributes == nullptr ? nullptr : Member(*attributes, "enabled");
  return enabled == nullptr || !enabled->is_boolean() || enabled->get<bool>();
}

std::optional<int64_t> CreatedAt(const SecretJson& object) {
  const SecretJson* attributes = ObjectMember(object, "attributes");
  if (attributes == nullptr) return std::nullopt;
  const std::optional<int64_t> created = IntegerMember(*attributes, "created");
  if (!created.has_value() || *created < 0 || *created > kLatestTime) return std::nullopt;
  return created;
}

// https://VAULT/COLLECTION/NAME[/VERSION]
struct Identifier {
  std::string name;
  std::string version;
};
std::optional<Identifier> ParseIdentifier(std::string_view text, Kind kind) {
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return std::nullopt;
  text.remove_prefix(scheme + 3);
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  text.remove_prefix(slash + 1);
  const std::string_view collection = CollectionOf(kind);
  if (!text.starts_with(collection) || !text.substr(collection.size()).starts_with('/')) {
    return std::nullopt;
  }
  text.remove_prefix(collection.size() + 1);
  const size_t end = std::min(text.find('/'), text.size());
  Identifier identifier;
  identifier.name = text.substr(0, end);
  identifier.version = text.substr(std::min(end + 1, text.size()));
  if (!IsObjectName(identifier.name)) return std::nullopt;
  if (!identifier.version.empty() && !IsVersion(identifier.version)) return std::nullopt;
  return identifier;
}

absl::StatusOr<SecretBytes> PartOf(const SecretJson& object, Part part) {
  const std::string_view value = TextMember(object, "value");
  const std::string_view type = TextMember(object, "contentType");
  if (type == kPkcs12Type) {
    const std::optional<SecretBytes> pkcs12 = DecodeBase64(value, Base64Form::kStandard);
    if (!pkcs12.has_value()) {
      return absl::InvalidArgumentError("it is said to be PKCS#12 but is not in base64");
    }
    return Pkcs12ToPem(pkcs12->bytes(), part);
  }
  if (type == kPemType || value.find("-----BEGIN") != std::string_view::npos) {
    return PemToPem(value, part);
  }
  return absl::InvalidArgumentError(
      "it is no certificate's: its content type is neither application/x-pkcs12 nor "
      "application/x-pem-file");
}

absl::StatusOr<SecretBytes> SecretValue(const SecretJson& object, Form form) {
  const std::string_view value = TextMember(object, "value");
  switch (form) {
    case Form::kPem:
      return PartOf(object, Part::kEverything);
    case Form::kCertificate:
      return PartOf(object, Part::kCertificates);
    case Form::kPrivateKey:
      return PartOf(object, Part::kPrivateKey);
    case Form::kAuto: {
      const bool of_certificate = !TextMember(object, "kid").empty();
      const std::string_view type = TextMember(object, "contentType");
      if (!of_certificate || type == kPemType) return SecretBytes::CopyOf(value);
      if (type == kPkcs12Type) return PartOf(object, Part::kEverything);
      return absl::InvalidArgumentError(
          "it belongs to a certificate but its content type is neither application/x-pkcs12 nor "
          "application/x-pem-file");
    }
    default:
      return SecretBytes::CopyOf(value);
  }
}

absl::StatusOr<SecretBytes> CertificateValue(const SecretJson& object, Form form) {
  std::optional<SecretBytes> der = DecodeBase64(TextMember(object, "cer"), Base64Form::kStandard);
  if (!der.has_value() || der->empty()) return Unexpected("the certificate's cer is not base64");
  if (form == Form::kDer) return *std::move(der);
  return CertificateToPem(der->bytes());
}

absl::StatusOr<SecretBytes> KeyValue(const SecretJson& key, Form form) {
  if (form == Form::kJwk) return DumpSecretJson(key);
  return PublicKeyToPem(key);
}

absl::StatusOr<SecretBytes> ValueOf(const SecretJson& object, const ObjectKey& key) {
  switch (key.kind) {
    case Kind::kCertificate:
      return CertificateValue(object, key.form);
    case Kind::kKey:
      return KeyValue(*ObjectMember(object, "key"), key.form);
    default:
      return SecretValue(object, key.form);
  }
}

std::string Code(std::string_view text) {
  const bool plain =
      text.size() <= kLongestCode && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
      });
  return plain ? std::string(text) : "";
}

std::string_view IdMember(Kind kind) { return kind == Kind::kKey ? "kid" : "id"; }

// Calls `each` with every item of a list's page; the page's next link.
template <typename Each>
absl::StatusOr<std::string> ParsePage(std::string_view body, Kind kind, Each each) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const SecretJson* items = Member(document, "value");
  if (items == nullptr || !(items->is_array() || items->is_null())) {
    return Unexpected("it has no list");
  }
  for (const SecretJson& item : *items) {
    const std::optional<Identifier> identifier =
        ParseIdentifier(TextMember(item, IdMember(kind)), kind);
    if (!identifier.has_value()) return Unexpected("an item of the list has no identifier");
    if (IsEnabled(item)) SECRETFS_RETURN_IF_ERROR(each(item, *identifier));
  }
  return std::string(TextMember(document, "nextLink"));
}

}  // namespace

absl::StatusOr<Secret> ParseObject(std::string_view body, const ObjectKey& key) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  std::string_view id = TextMember(document, "id");
  if (key.kind == Kind::kKey) {
    const SecretJson* web_key = ObjectMember(document, "key");
    if (web_key == nullptr) return Unexpected("it has no key");
    id = TextMember(*web_key, "kid");
  }
  const std::optional<Identifier> identifier = ParseIdentifier(id, key.kind);
  if (!identifier.has_value() || identifier->version.empty()) {
    return Unexpected("it has no identifier with a version");
  }
  if (key.kind == Kind::kSecret) {
    const SecretJson* value = Member(document, "value");
    if (value == nullptr || !value->is_string()) return Unexpected("it has no value");
  }
  absl::StatusOr<SecretBytes> value = ValueOf(document, key);
  if (!value.ok()) return value.status();
  Secret secret;
  secret.value = *std::move(value);
  secret.version = identifier->version;
  if (const std::optional<int64_t> created = CreatedAt(document)) {
    secret.changed_at = WallTime(seconds(*created));
  }
  return secret;
}

absl::StatusOr<NamePage> ParseNames(std::string_view body, Kind kind) {
  NamePage page;
  const auto add = [&page](const SecretJson&, const Identifier& identifier) {
    page.entries.push_back({.name = identifier.name, .is_secret = true, .is_prefix = false});
    return absl::OkStatus();
  };
  SECRETFS_ASSIGN_OR_RETURN(page.next_link, ParsePage(body, kind, add));
  return page;
}

absl::StatusOr<VersionPage> ParseVersions(std::string_view body, Kind kind) {
  VersionPage page;
  const auto add = [&page](const SecretJson& item, const Identifier& identifier) {
    const std::optional<int64_t> created = CreatedAt(item);
    if (identifier.version.empty() || !created.has_value()) {
      return Unexpected("a version in the list has no identifier or no time");
    }
    page.versions.push_back({identifier.version, *created});
    return absl::OkStatus();
  };
  SECRETFS_ASSIGN_OR_RETURN(page.next_link, ParsePage(body, kind, add));
  return page;
}

VaultError ParseVaultError(std::string_view body) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  const SecretJson* error = document.ok() ? ObjectMember(*document, "error") : nullptr;
  if (error == nullptr) return {};
  VaultError result;
  result.code = Code(TextMember(*error, "code"));
  if (const SecretJson* inner = ObjectMember(*error, "innererror")) {
    result.inner_code = Code(TextMember(*inner, "code"));
  }
  return result;
}

absl::StatusOr<AccessToken> ParseAccessToken(std::string_view body, WallTime now) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson document, ParseDocument(body));
  const std::string_view token = TextMember(document, "access_token");
  if (token.empty()) return Unexpected("it has no access_token");
  const bool printable =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!printable) return Unexpected("its access_token is no token");
  AccessToken access;
  std::optional<int64_t> lives = IntegerMember(document, "expires_in");
  if (!lives.has_value()) {
    const std::optional<int64_t> ends = IntegerMember(document, "expires_on");
    if (!ends.has_value() || *ends < 0 || *ends > kLatestTime) {
      return Unexpected("it says neither in expires_in nor in expires_on how long the token lives");
    }
    lives = *ends - std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  }
  access.token = SecretBytes::CopyOf(token);
  access.lives = seconds(std::clamp<int64_t>(*lives, 0, kLongestLife));
  const std::optional<int64_t> refresh = IntegerMember(document, "refresh_in");
  if (refresh.has_value() && *refresh > 0 && *refresh < access.lives.count()) {
    access.refresh_in = seconds(*refresh);
  }
  return access;
}

LoginError ParseLoginError(std::string_view body) {
  const absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return {};
  LoginError result;
  result.error = Code(TextMember(*document, "error"));
  const SecretJson* codes = Member(*document, "error_codes");
  if (codes != nullptr && codes->is_array() && !codes->empty() &&
      codes->front().is_number_unsigned()) {
    const uint64_t number = codes->front().get<uint64_t>();
    if (number < 100'000'000) result.number = static_cast<int64_t>(number);
  }
  return result;
}

}  // namespace secretfs::providers::azure
