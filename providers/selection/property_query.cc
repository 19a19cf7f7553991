#include "providers/selection/property_query.h"

#include <charconv>
#include <optional>

#include "base/text.h"
#include "providers/selection/near_names.h"
#include "providers/selection/raw_json.h"

namespace secretfs::providers {
namespace {

using Operator = PropertyQuery::Operator;

struct OperatorName {
  std::string_view text;
  Operator value;
};
// Longer ones first.
constexpr OperatorName kOperators[] = {
    {"==", Operator::kEqual},       {"!=", Operator::kNotEqual},       {"!%", Operator::kNotLike},
    {"<=", Operator::kLessOrEqual}, {">=", Operator::kGreaterOrEqual}, {"=", Operator::kEqual},
    {"<", Operator::kLess},         {">", Operator::kGreater},         {"%", Operator::kLike},
};

// Where the first operator stands outside parentheses and quotes.
size_t OperatorPlace(std::string_view text) {
  size_t open = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      ++i;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
      }
    } else if (c == '(') {
      ++open;
    } else if (c == ')') {
      open -= open > 0 ? 1 : 0;
    } else if (open == 0 && (c == '=' || c == '!' || c == '<' || c == '>' || c == '%')) {
      return i;
    }
  }
  return std::string_view::npos;
}

std::optional<double> Number(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ptr != end || text.empty()) return std::nullopt;
  return number;
}

template <typename T>
bool Compared(Operator compare, const T& a, const T& b) {
  switch (compare) {
    case Operator::kEqual:
      return a == b;
    case Operator::kNotEqual:
      return a != b;
    case Operator::kLess:
      return a < b;
    case Operator::kLessOrEqual:
      return a <= b;
    case Operator::kGreater:
      return a > b;
    case Operator::kGreaterOrEqual:
      return a >= b;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<PropertyQuery> ParsePropertyQuery(std::string_view text) {
  PropertyQuery query;
  const size_t place = OperatorPlace(text);
  query.path = Trimmed(text.substr(0, place));
  if (place == std::string_view::npos) return query;
  for (const OperatorName& name : kOperators) {
    if (!text.substr(place).starts_with(name.text)) continue;
    query.compare = name.value;
    const std::string_view operand = Trimmed(text.substr(place + name.text.size()));
    if (operand.starts_with('~')) break;
    query.operand = operand.starts_with('"') ? Unquoted(operand) : SecretString(operand);
    return query;
  }
  return absl::InvalidArgumentError(
      Format("#({}): expected ==, !=, <, <=, >, >=, % or !% in the query", Shown(text)));
}

bool Matches(const PropertyQuery& query, std::string_view value) {
  if (query.compare == Operator::kExists) return true;
  const std::string_view operand(query.operand);
  switch (KindOf(value)) {
    case RawKind::kString: {
      const SecretString text = Unquoted(value);
      if (query.compare == Operator::kLike) return MatchesPattern(std::string_view(text), operand);
      if (query.compare == Operator::kNotLike) {
        return !MatchesPattern(std::string_view(text), operand);
      }
      return Compared(query.compare, std::string_view(text), operand);
    }
    case RawKind::kNumber: {
      const std::optional<double> number = Number(value);
      const std::optional<double> wanted = Number(operand);
      return number.has_value() && Compared(query.compare, *number, wanted.value_or(0));
    }
    case RawKind::kTrue:
    case RawKind::kFalse:
      // False is less than true, and anything else is no operand.
      if (operand != "true" && operand != "false") return query.compare == Operator::kNotEqual;
      return Compared(query.compare, KindOf(value) == RawKind::kTrue, operand == "true");
    default:
      return false;
  }
}

bool MatchesPattern(std::string_view text, std::string_view pattern) {
  // Where to go on when what follows the last '*' does not fit: that star takes one more character.
  size_t star = std::string_view::npos;
  size_t taken = 0;
  size_t t = 0;
  size_t p = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      taken = t;
      continue;
    }
    const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    const size_t at = p + (escaped ? 1 : 0);
    if (at < pattern.size() && ((!escaped && pattern[at] == '?') || pattern[at] == text[t])) {
      p = at + 1;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace secretfs::providers
