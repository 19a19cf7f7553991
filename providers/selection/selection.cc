#include "providers/selection/selection.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"
#include "providers/selection/jmespath/expression.h"
#include "providers/selection/key_extraction.h"
#include "providers/selection/near_names.h"
#include "providers/selection/property_path.h"
#include "providers/selection/raw_json.h"

namespace secretfs::providers {
namespace {

// --- selecting

// The first name of a simple path with its escapes undone, and what follows the dot after it.
struct PropertyStep {
  std::string name;
  std::optional<std::string_view> rest;  // nothing: it was the last
};

PropertyStep FirstPropertyStep(std::string_view path) {
  PropertyStep step;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '.') {
      step.rest = path.substr(i + 1);
      return step;
    }
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    step.name += path[i];
  }
  return step;
}

const SecretJson* Child(const SecretJson& value, const std::string& name) {
  if (value.is_object()) {
    const auto it = value.find(SecretString(name));
    return it == value.end() ? nullptr : &*it;
  }
  size_t index = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool whole = end.ec == std::errc() && end.ptr == name.data() + name.size();
  return value.is_array() && whole && index < value.size() ? &value[index] : nullptr;
}

std::string WhatIsThere(const SecretJson& value, std::string_view wanted) {
  if (value.is_array()) return Format("an array of {} elements", value.size());
  if (!value.is_object()) return "a single value";
  std::vector<std::string_view> names;
  for (const auto& [name, member] : *value.get_ptr<const SecretJson::object_t*>()) {
    names.emplace_back(name);
  }
  return NearestNames(wanted, names);
}

// Where the path leaves what there is, as far as it is a simple one.
absl::Status DoesNotExist(const SecretJson& root, std::string_view property) {
  const SecretJson* value = &root;
  std::optional<std::string_view> path = property;
  while (path.has_value()) {
    const PropertyStep step = FirstPropertyStep(*path);
    const SecretJson* next = Child(*value, step.name);
    if (next == nullptr) {
      const std::string_view before = property.substr(0, property.size() - path->size());
      return absl::NotFoundError(Format(
          "property {} does not exist: no {} {}; there is {}", Shown(property), Shown(step.name),
          before.empty() ? "at the top"
                         : Format("in {}", Shown(before.substr(0, before.size() - 1))),
          WhatIsThere(*value, step.name)));
    }
    value = next;
    path = step.rest;
  }
  return absl::NotFoundError(Format("property {} does not exist", Shown(property)));
}

absl::StatusOr<SecretJson> AsJson(const Secret& secret, std::string_view property) {
  absl::StatusOr<SecretJson> json = ParseSecretJson(secret.value.ExposeAsText());
  if (json.ok()) return json;
  return absl::InvalidArgumentError(Format("property {} is wanted, but the secret is {}",
                                           Shown(property), MessageOf(json.status())));
}

absl::StatusOr<SecretBytes> SelectPath(const Secret& secret, std::string_view property) {
  const auto field = secret.fields.find(property);
  if (field != secret.fields.end()) return field->second.Clone();
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, AsJson(secret, property));
  SECRETFS_ASSIGN_OR_RETURN(const std::optional<SecretString> found,
                            FindProperty(secret.value.ExposeAsText(), property));
  if (!found.has_value()) return DoesNotExist(json, property);
  const std::string_view text(*found);
  switch (KindOf(text)) {
    case RawKind::kString:
      return SecretBytes::CopyOf(std::string_view(Unquoted(text)));
    case RawKind::kNull:
      return SecretBytes();
    default:
      return SecretBytes::CopyOf(text);
  }
}

absl::StatusOr<SecretBytes> SelectJmesPath(const Secret& secret, std::string_view expression) {
  const absl::StatusOr<jmespath::Expression> parsed = jmespath::Expression::Parse(expression);
  if (!parsed.ok()) return WithContext(parsed.status(), Shown(expression));
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, AsJson(secret, expression));
  const absl::StatusOr<SecretJson> found = parsed->Search(json);
  if (!found.ok()) return WithContext(found.status(), Shown(expression));
  if (found->is_null()) {
    return absl::NotFoundError(Format("the JMESPath {} selects nothing of the secret; there is {}",
                                      Shown(expression), WhatIsThere(json, expression)));
  }
  return SecretJsonToBytes(*found);
}

absl::StatusOr<SecretBytes> SelectPart(const Secret& secret, const Selection& selection) {
  switch (selection.language) {
    case Language::kJmesPath:
      return SelectJmesPath(secret, selection.property);
    case Language::kJsonKey:
      return ExtractJsonKey(secret.value.ExposeAsText(), selection.property);
    case Language::kYamlKey:
      return ExtractYamlKey(secret.value.ExposeAsText(), selection.property);
    case Language::kPath:
      break;
  }
  return SelectPath(secret, selection.property);
}

// --- decoding and encoding

std::optional<SecretBytes> TryDecode(const SecretBytes& value, Decoding decoding) {
  const std::string_view text = value.ExposeAsText();
  switch (decoding) {
    case Decoding::kBase64:
      return DecodeBase64(text, Base64Form::kStandard);
    case Decoding::kBase64Url:  // tokens leave the padding out
      return DecodeBase64(text, Base64Form::kUrlPaddingOptional);
    case Decoding::kAuto: {
      std::optional<SecretBytes> decoded = DecodeBase64(text, Base64Form::kStandard);
      if (!decoded.has_value()) decoded = DecodeBase64(text, Base64Form::kUrl);
      return decoded;
    }
    case Decoding::kHex:
      return DecodeHex(text);
    case Decoding::kNone:
      break;
  }
  return std::nullopt;
}

absl::StatusOr<SecretBytes> Decode(SecretBytes value, Decoding decoding) {
  std::optional<SecretBytes> decoded = TryDecode(value, decoding);
  if (decoded.has_value()) return *std::move(decoded);
  switch (decoding) {
    case Decoding::kBase64:
      return absl::InvalidArgumentError("the value cannot be decoded: it is not base64");
    case Decoding::kBase64Url:
      return absl::InvalidArgumentError("the value cannot be decoded: it is not base64url");
    case Decoding::kHex:
      return absl::InvalidArgumentError("the value cannot be decoded: it is not hexadecimal");
    case Decoding::kNone:
    case Decoding::kAuto:
      break;
  }
  return value;
}

SecretBytes Encode(SecretBytes value, Encoding encoding) {
  switch (encoding) {
    case Encoding::kBase64:
      return EncodeBase64(value.bytes());
    case Encoding::kHex:
      return EncodeHex(value.bytes());
    case Encoding::kUtf8:
      break;
  }
  return value;
}

}  // namespace

absl::StatusOr<SecretBytes> Select(const Secret& secret, const Selection& selection) {
  absl::StatusOr<SecretBytes> value = selection.property.empty()
                                          ? absl::StatusOr<SecretBytes>(secret.value.Clone())
                                          : SelectPart(secret, selection);
  if (!value.ok()) return value;
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes decoded, Decode(*std::move(value), selection.decoding));
  return Encode(std::move(decoded), selection.encoding);
}

}  // namespace secretfs::providers
