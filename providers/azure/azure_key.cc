#include "providers/azure/azure_key.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::azure {
namespace {

constexpr size_t kLongestName = 127;
constexpr size_t kLongestVersion = 64;
// More than anybody keeps, and bounded work.
constexpr int kFurthestBack = 1000;

struct FormName {
  std::string_view name;
  Kind kind;
  Form form;
};
constexpr std::array<FormName, 9> kForms{{
    {"value", Kind::kSecret, Form::kValue},
    {"auto", Kind::kSecret, Form::kAuto},
    {"pem", Kind::kSecret, Form::kPem},
    {"certificate", Kind::kSecret, Form::kCertificate},
    {"private-key", Kind::kSecret, Form::kPrivateKey},
    {"pem", Kind::kCertificate, Form::kPem},
    {"der", Kind::kCertificate, Form::kDer},
    {"pem", Kind::kKey, Form::kPem},
    {"jwk", Kind::kKey, Form::kJwk},
}};

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

std::optional<Kind> KindOf(std::string_view word) {
  if (word == "secret") return Kind::kSecret;
  if (word == "cert") return Kind::kCertificate;
  if (word == "key") return Kind::kKey;
  return std::nullopt;
}

Form DefaultForm(Kind kind, bool external_secrets) {
  if (kind == Kind::kSecret) return Form::kValue;
  if (!external_secrets) return Form::kPem;
  return kind == Kind::kCertificate ? Form::kDer : Form::kJwk;
}

absl::StatusOr<Form> ParseForm(Kind kind, std::string_view text) {
  std::string known;
  for (const FormName& form : kForms) {
    if (form.kind != kind) continue;
    if (form.name == text) return form.form;
    known += Format("{}{}", known.empty() ? "" : ", ", form.name);
  }
  return absl::InvalidArgumentError(
      Format("the format '{}' is none of a {}'s; expected {}", text, CollectionOf(kind), known));
}

absl::Status SetVersion(std::string_view text, ObjectKey& key) {
  if (text.empty()) return absl::OkStatus();
  if (!key.version.empty() || key.before.has_value()) {
    return absl::InvalidArgumentError(Format("the key of {} gives a version twice", Describe(key)));
  }
  const size_t tilde = text.find('~');
  if (tilde != std::string_view::npos) {
    const std::string_view digits = text.substr(tilde + 1);
    int back = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), back);
    if (error != std::errc() || end != digits.data() + digits.size() || back < 0 ||
        back > kFurthestBack) {
      return absl::InvalidArgumentError(
          Format("the version of {} has no number from 0 to {} behind its '~'", Describe(key),
                 kFurthestBack));
    }
    key.before = back;
    text = text.substr(0, tilde);
  }
  if (text == "latest") return absl::OkStatus();
  if (!IsVersion(text)) {
    return absl::InvalidArgumentError(Format(
        "the version of {} is none; expected the identifier that Azure shows, latest, or latest~N",
        Describe(key)));
  }
  key.version = text;
  return absl::OkStatus();
}

absl::Status ParseQuery(std::string_view query, ObjectKey& key) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    if (name == "version") {
      SECRETFS_RETURN_IF_ERROR(SetVersion(value, key));
    } else if (name == "format") {
      SECRETFS_ASSIGN_OR_RETURN(key.form, ParseForm(key.kind, value));
    } else {
      return absl::InvalidArgumentError(Format(
          "the key of {} has an unknown option; expected version=V or format=F", Describe(key)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsObjectName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), IsNameCharacter);
}

bool IsVersion(std::string_view version) {
  return version.size() <= kLongestVersion && IsObjectName(version);
}

absl::StatusOr<ObjectKey> ParseKey(const SecretRef& ref, bool external_secrets_formats) {
  ObjectKey key;
  std::string_view path = ref.key;
  std::string_view query;
  if (const size_t mark = path.find('?'); mark != std::string_view::npos) {
    query = path.substr(mark + 1);
    path = path.substr(0, mark);
  }
  std::string_view version;
  if (const size_t slash = path.find('/'); slash != std::string_view::npos) {
    const std::optional<Kind> kind = KindOf(path.substr(0, slash));
    if (!kind.has_value()) {
      return absl::InvalidArgumentError(
          Format("the key '{}' begins with no kind of object; expected secret/NAME, cert/NAME or "
                 "key/NAME",
                 ref.key));
    }
    key.kind = *kind;
    path = path.substr(slash + 1);
    if (const size_t second = path.find('/'); second != std::string_view::npos) {
      version = path.substr(second + 1);
      path = path.substr(0, second);
      if (version.empty()) {
        return absl::InvalidArgumentError(Format("the key '{}' ends with '/'", ref.key));
      }
    }
  }
  if (!IsObjectName(path)) {
    return absl::InvalidArgumentError(
        Format("'{}' is no name in a Key Vault; expected letters, digits and '-'", path));
  }
  key.name = path;
  key.form = DefaultForm(key.kind, external_secrets_formats);
  SECRETFS_RETURN_IF_ERROR(SetVersion(version, key));
  SECRETFS_RETURN_IF_ERROR(ParseQuery(query, key));
  SECRETFS_RETURN_IF_ERROR(SetVersion(ref.version, key));
  return key;
}

absl::StatusOr<Kind> ParsePrefix(std::string_view prefix) {
  if (prefix.empty()) return Kind::kSecret;
  const std::optional<Kind> kind = KindOf(prefix);
  if (kind.has_value()) return *kind;
  return absl::NotFoundError(
      Format("a Key Vault has no folder '{}'; expected secret, cert or key", prefix));
}

std::string_view CollectionOf(Kind kind) {
  switch (kind) {
    case Kind::kSecret:
      return "secrets";
    case Kind::kCertificate:
      return "certificates";
    case Kind::kKey:
      return "keys";
  }
  return "";
}

std::string Describe(const ObjectKey& key) {
  std::string_view kind = CollectionOf(key.kind);
  kind.remove_suffix(1);
  return Format("{} '{}'", kind, key.name);
}

}  // namespace secretfs::providers::azure
