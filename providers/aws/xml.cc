#include "providers/aws/xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace secretfs::providers::aws {
namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> kEntities{
    {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};

struct Tag {
  std::string_view name;
  bool opens = false;  // neither </name> nor <name/>
};

// Reads the tag that `text` begins with ("<…>") and takes it off; nothing when it does not end.
std::optional<Tag> TakeTag(std::string_view& text) {
  for (const auto& [begin, end] : {std::pair<std::string_view, std::string_view>("<!--", "-->"),
                                   {"<![CDATA[", "]]>"},
                                   {"<?", "?>"}}) {
    if (!text.starts_with(begin)) continue;
    const size_t found = text.find(end, begin.size());
    if (found == std::string_view::npos) return std::nullopt;
    text.remove_prefix(found + end.size());
    return Tag{};
  }
  size_t end = 1;
  char quote = '\0';
  for (; end < text.size() && (quote != '\0' || text[end] != '>'); ++end) {
    if (quote != '\0') {
      if (text[end] == quote) quote = '\0';
    } else if (text[end] == '"' || text[end] == '\'') {
      quote = text[end];
    }
  }
  if (end >= text.size()) return std::nullopt;
  const std::string_view inside = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  const bool opens = !inside.starts_with('/') && !inside.ends_with('/') && !inside.starts_with('!');
  return Tag{inside.substr(0, inside.find_first_of(" \t\r\n/")), opens};
}

std::optional<char> Resolve(std::string_view entity) {
  if (!entity.starts_with('#')) {
    const auto* found = std::find_if(kEntities.begin(), kEntities.end(),
                                     [&](const auto& one) { return one.first == entity; });
    if (found == kEntities.end()) return std::nullopt;
    return found->second;
  }
  entity.remove_prefix(1);
  const bool hexadecimal = entity.starts_with('x');
  if (hexadecimal) entity.remove_prefix(1);
  unsigned number = 0;
  const char* end = entity.data() + entity.size();
  const auto result = std::from_chars(entity.data(), end, number, hexadecimal ? 16 : 10);
  if (entity.empty() || result.ec != std::errc() || result.ptr != end || number == 0 ||
      number > 127) {
    return std::nullopt;
  }
  return static_cast<char>(number);
}

std::optional<SecretBytes> Unescaped(std::string_view text) {
  SecretBuilder builder(text.size());
  while (!text.empty()) {
    const size_t ampersand = std::min(text.find('&'), text.size());
    if (!builder.Append(text.substr(0, ampersand)).ok()) return std::nullopt;
    text.remove_prefix(ampersand);
    if (text.empty()) break;
    const size_t end = text.find(';');
    if (end == std::string_view::npos) return std::nullopt;
    const std::optional<char> c = Resolve(text.substr(1, end - 1));
    if (!c.has_value() || !builder.Append(std::string_view(&*c, 1)).ok()) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  return builder.Finish();
}

}  // namespace

std::optional<SecretBytes> XmlText(std::string_view document, std::string_view name) {
  std::string_view rest = document;
  while (true) {
    const size_t begin = rest.find('<');
    if (begin == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(begin);
    const std::optional<Tag> tag = TakeTag(rest);
    if (!tag.has_value()) return std::nullopt;
    if (!tag->opens || tag->name != name) continue;
    const size_t end = rest.find('<');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view closing = rest.substr(end);
    if (!closing.starts_with("</") || !closing.substr(2).starts_with(name)) return std::nullopt;
    return Unescaped(rest.substr(0, end));
  }
}

}  // namespace secretfs::providers::aws
