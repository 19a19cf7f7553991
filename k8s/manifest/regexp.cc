#include "k8s/manifest/regexp.h"

#include <charconv>
#include <regex>

#include "base/text.h"

namespace secretfs::k8s {
namespace {

// Long patterns cost stack and time in std::regex; nobody writes them for names.
constexpr size_t kLongestPattern = 500;
constexpr int kDeepestGroups = 20;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool NestsTooDeeply(std::string_view pattern) {
  int depth = 0, deepest = 0;
  for (const char c : pattern) {
    if (c == '(') deepest = std::max(deepest, ++depth);
    if (c == ')') --depth;
  }
  return deepest > kDeepestGroups;
}

// Counted repetition makes std::regex copy what is repeated.
bool RepeatsTooOften(std::string_view pattern) {
  size_t copies = 1;
  for (size_t i = pattern.find('{'); i != std::string_view::npos; i = pattern.find('{', i + 1)) {
    size_t highest = 1;
    for (size_t j = i + 1; j < pattern.size() && pattern[j] != '}';) {
      size_t count = 0;
      const auto parsed =
          std::from_chars(pattern.data() + j, pattern.data() + pattern.size(), count);
      if (parsed.ec == std::errc::result_out_of_range) return true;
      if (parsed.ec == std::errc()) highest = std::max(highest, count);
      j = std::max<size_t>(j + 1, parsed.ptr - pattern.data());
    }
    if (highest > 1000) return true;
    copies *= std::max<size_t>(highest, 1);
    if (copies > 1000) return true;
  }
  return false;
}

// The replacement of one "$" and what belongs to it, from which it removes that; nothing for a
// group that cannot be used.
std::optional<std::string> TakeReference(std::string_view& rest, size_t groups) {
  rest.remove_prefix(1);
  if (rest.starts_with('$')) {
    rest.remove_prefix(1);
    return "$$";
  }
  const bool braces = rest.starts_with('{');
  if (braces) rest.remove_prefix(1);
  size_t length = 0;
  while (length < rest.size() && IsNameCharacter(rest[length])) ++length;
  const std::string_view name = rest.substr(0, length);
  if (!braces && name.empty()) return "$$";
  rest.remove_prefix(length);
  if (braces) {
    if (!rest.starts_with('}')) return std::nullopt;
    rest.remove_prefix(1);
  }
  size_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() ||
      number > groups || number > 99) {
    return std::nullopt;
  }
  // std::regex knows the whole match by "$&" only, and groups by one or two digits.
  return number == 0 ? "$&" : Format("${:02}", number);
}

}  // namespace

std::optional<std::string> ReadRegexp(const Value& value, size_t& groups) {
  groups = 0;
  std::optional<std::string> pattern = value.AsNonEmptyString();
  if (!pattern) return std::nullopt;
  if (pattern->size() > kLongestPattern || NestsTooDeeply(*pattern) || RepeatsTooOften(*pattern)) {
    value.Problem(
        Format("is too large a pattern; expected at most {} bytes, {} nested groups and 1000 "
               "repetitions",
               kLongestPattern, kDeepestGroups));
    return std::nullopt;
  }
  try {
    groups = std::regex(*pattern).mark_count();
  } catch (const std::regex_error&) {
    value.Problem(
        Format("{} is not a regular expression that can be used here; expected one without "
               "flags such as (?i), named groups and \\A, \\z, \\p",
               Quote(*pattern)));
    return std::nullopt;
  }
  return pattern;
}

std::optional<std::string> ReadReplacement(const Value& value, size_t groups) {
  const std::optional<std::string> text = value.AsString();
  if (!text) return std::nullopt;
  std::string format;
  for (std::string_view rest = *text; !rest.empty();) {
    if (rest.front() != '$') {
      format += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    const std::optional<std::string> reference = TakeReference(rest, groups);
    if (!reference) {
      value.Problem(
          Format("{} refers to a group that source does not have; expected numbers up to {} "
                 "such as $1 or ${{1}}",
                 Quote(*text), groups));
      return std::nullopt;
    }
    format += *reference;
  }
  return format;
}

}  // namespace secretfs::k8s
