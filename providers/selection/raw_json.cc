#include "providers/selection/raw_json.h"

#include "providers/secret_json.h"

namespace secretfs::providers {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

// Behind the string that begins at `at`.
size_t EndOfString(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at < text.size() ? at + 1 : text.size();
}

// Behind the value that begins at `at`: the first comma, colon or closing bracket of its level.
size_t EndOfValue(std::string_view text, size_t at) {
  size_t open = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = EndOfString(text, at);
      continue;
    }
    if (c == '[' || c == '{') ++open;
    if (c == ']' || c == '}') {
      if (open == 0) return at;
      --open;
    }
    if (open == 0 && (c == ',' || c == ':')) return at;
    ++at;
  }
  return at;
}

}  // namespace

std::string_view Trimmed(std::string_view value) {
  const size_t begin = value.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return value.substr(begin, value.find_last_not_of(kSpaces) - begin + 1);
}

RawKind KindOf(std::string_view value) {
  switch (value.empty() ? 'n' : value.front()) {
    case '{':
      return RawKind::kObject;
    case '[':
      return RawKind::kArray;
    case '"':
      return RawKind::kString;
    case 't':
      return RawKind::kTrue;
    case 'f':
      return RawKind::kFalse;
    case 'n':
      return RawKind::kNull;
    default:
      return RawKind::kNumber;
  }
}

std::string_view Inside(std::string_view container) {
  return container.size() < 2 ? std::string_view() : container.substr(1, container.size() - 2);
}

void ForEachElement(std::string_view array, const std::function<bool(std::string_view)>& visit) {
  const std::string_view text = Inside(array);
  if (Trimmed(text).empty()) return;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = EndOfValue(text, at);
    if (!visit(Trimmed(text.substr(at, end - at)))) return;
    at = end + 1;
  }
}

void ForEachMember(std::string_view object,
                   const std::function<bool(std::string_view, std::string_view)>& visit) {
  const std::string_view text = Inside(object);
  if (Trimmed(text).empty()) return;
  for (size_t at = 0; at <= text.size();) {
    const size_t colon = EndOfValue(text, at);
    if (colon >= text.size()) return;
    const size_t end = EndOfValue(text, colon + 1);
    if (!visit(Trimmed(text.substr(at, colon - at)),
               Trimmed(text.substr(colon + 1, end - colon - 1)))) {
      return;
    }
    at = end + 1;
  }
}

SecretString Unquoted(std::string_view text) {
  if (text.size() >= 2 && text.find('\\') == std::string_view::npos) {
    return SecretString(text.substr(1, text.size() - 2));
  }
  const absl::StatusOr<SecretJson> json = ParseSecretJson(text);
  const SecretString* string = json.ok() ? json->get_ptr<const SecretString*>() : nullptr;
  return string == nullptr ? SecretString() : *string;
}

}  // namespace secretfs::providers
