#include "providers/selection/selection.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"

namespace secretfs::providers {
namespace {

constexpr size_t kNamesShown = 5;
constexpr size_t kNameLengthShown = 64;

// --- messages

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// A name from a store, fit for a message: one line, not too long.
std::string Shown(std::string_view name) {
  std::string result(name.substr(0, kNameLengthShown));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return name.size() > kNameLengthShown ? result + "…" : result;
}

// The nearest of `names` to `wanted`, the most alike first.
std::string NearestNames(std::string_view wanted, std::vector<std::string_view> names) {
  if (names.empty()) return "nothing";
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const std::string_view name : names) {
    const std::string_view begin = name.substr(0, kNameLengthShown);
    ranked.emplace_back(EditDistance(wanted.substr(0, kNameLengthShown), begin), name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::string result;
  for (size_t i = 0; i < ranked.size() && i < kNamesShown; ++i) {
    result += (i == 0 ? "" : ", ") + Shown(ranked[i].second);
  }
  if (ranked.size() > kNamesShown) result += Format(" and {} more", ranked.size() - kNamesShown);
  return result;
}

// --- paths

// The first component of `path` with its escapes undone, and what follows the dot after it.
struct Step {
  std::string name;
  std::optional<std::string_view> rest;  // nothing: it was the last
};

Step FirstStep(std::string_view path) {
  Step step;
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

const SecretJson* Member(const SecretJson& object, std::string_view name) {
  const auto it = object.find(SecretString(name));
  return it == object.end() ? nullptr : &*it;
}

const SecretJson* Element(const SecretJson& array, std::string_view number) {
  size_t index = 0;
  const auto end = std::from_chars(number.data(), number.data() + number.size(), index);
  const bool whole = end.ec == std::errc() && end.ptr == number.data() + number.size();
  return whole && index < array.size() ? &array[index] : nullptr;
}

std::string WhatIsThere(const SecretJson& value, std::string_view wanted) {
  if (value.is_array()) return Format("an array of {} elements", value.size());
  if (!value.is_object()) return "a single value";
  std::vector<std::string_view> names;
  for (const auto& [name, member] : *value.get_ptr<const SecretJson::object_t*>()) {
    names.emplace_back(name);
  }
  return NearestNames(wanted, std::move(names));
}

absl::StatusOr<const SecretJson*> Find(const SecretJson& root, std::string_view property) {
  const SecretJson* value = &root;
  std::optional<std::string_view> path = property;
  while (path.has_value()) {
    // A key may contain dots itself: what is left of the path is tried as one key first.
    if (value->is_object()) {
      if (const SecretJson* whole = Member(*value, *path)) return whole;
    }
    const Step step = FirstStep(*path);
    const SecretJson* next = value->is_object()  ? Member(*value, step.name)
                             : value->is_array() ? Element(*value, step.name)
                                                 : nullptr;
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
  return value;
}

absl::StatusOr<SecretBytes> SelectProperty(const Secret& secret, std::string_view property) {
  const auto field = secret.fields.find(property);
  if (field != secret.fields.end()) return field->second.Clone();
  const absl::StatusOr<SecretJson> json = ParseSecretJson(secret.value.ExposeAsText());
  if (!json.ok()) {
    return absl::InvalidArgumentError(Format("property {} is wanted, but the secret is {}",
                                             Shown(property), MessageOf(json.status())));
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, Find(*json, property));
  return SecretJsonToBytes(*value);
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
                                          : SelectProperty(secret, selection.property);
  if (!value.ok()) return value;
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes decoded, Decode(*std::move(value), selection.decoding));
  return Encode(std::move(decoded), selection.encoding);
}

}  // namespace secretfs::providers
