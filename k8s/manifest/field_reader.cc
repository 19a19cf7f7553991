#include "k8s/manifest/field_reader.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"

namespace secretfs::k8s {
namespace {

std::string_view KindName(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull:
      return "empty";
    case YamlNode::Kind::kScalar:
      return "a single value";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMapping:
      return "a mapping";
  }
  return "";
}

std::string Below(const std::string& field, std::string_view name) {
  return field.empty() ? std::string(name) : Format("{}.{}", field, name);
}

}  // namespace

Source::Source(const Source& parent, const YamlNode& outer)
    : file_(parent.file_),
      problems_(parent.problems_),
      start_(parent.Map(outer.literal_start.value_or(outer.position))),
      exact_(outer.literal_start.has_value() && parent.exact_) {}

Position Source::Map(Position position) const {
  if (!exact_) return start_;
  return {position.line + start_.line - 1, position.column + start_.column - 1};
}

Value::Value(const Source* source, YamlNodePtr node, std::string field)
    : source_(source),
      node_(std::move(node)),
      position_(node_->position),
      field_(std::move(field)) {}

Value::Value(const Source* source, YamlNodePtr node, Position position, std::string field)
    : source_(source), node_(std::move(node)), position_(position), field_(std::move(field)) {}

Location Value::location() const { return {source_->file(), source_->Map(position_), field_}; }

void Value::Problem(std::string_view message) const {
  source_->problems().Add(location(), message);
}

void Value::Warn(std::string_view message) const { source_->problems().Warn(location(), message); }

bool Value::IsScalar(std::string_view expected) const {
  if (node_->kind == YamlNode::Kind::kScalar) return true;
  Problem(Format("is {}; expected {}", KindName(node_->kind), expected));
  return false;
}

std::optional<std::string> Value::AsString() const {
  if (!IsScalar("text")) return std::nullopt;
  if (node_->scalar.find('\0') != std::string::npos) {
    Problem("holds a zero byte; expected text");
    return std::nullopt;
  }
  return node_->scalar;
}

std::optional<std::string> Value::AsNonEmptyString() const {
  std::optional<std::string> text = AsString();
  if (text && text->empty()) {
    Problem("is empty; expected text");
    return std::nullopt;
  }
  return text;
}

std::optional<bool> Value::AsBool() const {
  if (!IsScalar("true or false")) return std::nullopt;
  // In quotes too: the parameters of a SecretProviderClass are all strings.
  if (node_->scalar == "true" || node_->scalar == "True") return true;
  if (node_->scalar == "false" || node_->scalar == "False") return false;
  Problem(Format("{} is not a boolean; expected true or false", Quote(node_->scalar)));
  return std::nullopt;
}

std::optional<int64_t> Value::AsInteger(int64_t least, int64_t most) const {
  const std::string expected = Format("a whole number from {} to {}", least, most);
  if (!IsScalar(expected)) return std::nullopt;
  const std::string& text = node_->scalar;
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      number < least || number > most) {
    Problem(Format("{} does not fit; expected {}", Quote(text), expected));
    return std::nullopt;
  }
  return number;
}

std::optional<Duration> Value::AsDuration() const {
  static constexpr std::string_view kExpected =
      "a duration such as 30s, 1h30m or 500ms, at most 3650d";
  if (!IsScalar(kExpected)) return std::nullopt;
  const std::optional<Duration> duration = ParseDuration(node_->scalar);
  if (!duration) {
    const bool lacks_unit = ParseDuration(node_->scalar + "s").has_value();
    Problem(Format("{} {}; expected {}{}", Quote(node_->scalar),
                   lacks_unit ? "has no unit" : "is not a duration", kExpected,
                   lacks_unit ? Format("; did you mean '{}s'?", node_->scalar) : ""));
  }
  return duration;
}

std::optional<mode_t> Value::AsMode(bool kubernetes_numbers) const {
  static constexpr std::string_view kExpected = "octal digits up to 0777, such as 0400";
  if (!IsScalar(kExpected)) return std::nullopt;
  const std::string& text = node_->scalar;
  const std::optional<mode_t> octal = ParseOctalMode(text);
  if (octal && (node_->is_text || text.starts_with('0'))) return octal;
  unsigned decimal = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), decimal);
  const bool is_number = !node_->is_text && !text.empty() && text.front() != '0' &&
                         parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  const bool octal_meant = is_number && LooksLikeOctalMode(text);
  if (is_number && decimal <= 0777 && (kubernetes_numbers || !octal_meant)) {
    if (octal_meant)
      Warn(Format("is the decimal number {0}, mode {1:#05o}; was 0{0} meant?", text, decimal));
    return static_cast<mode_t>(decimal);
  }
  Problem(Format("{} is {}; expected {}{}", Quote(text),
                 is_number ? Format("a decimal number (octal {:#o})", decimal) : "not a file mode",
                 kExpected, octal_meant ? Format("; did you mean 0{}?", text) : ""));
  return std::nullopt;
}

std::optional<size_t> Value::AsOneOf(const std::vector<std::string_view>& names) const {
  const std::string expected = JoinWithOr(names);
  if (!IsScalar(expected)) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), node_->scalar);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  Problem(Format("{} is not known here; expected {}{}", Quote(node_->scalar), expected,
                 DidYouMean(node_->scalar, names)));
  return std::nullopt;
}

std::vector<Value> Value::Items() const {
  if (node_->kind != YamlNode::Kind::kSequence) {
    Problem(Format("is {}; expected a list", KindName(node_->kind)));
    return {};
  }
  std::vector<Value> values;
  for (size_t i = 0; i < node_->items.size(); ++i) {
    values.emplace_back(source_, node_->items[i], Format("{}[{}]", field_, i));
  }
  return values;
}

std::vector<std::pair<std::string, Value>> Value::Entries() const {
  if (node_->kind != YamlNode::Kind::kMapping) {
    Problem(Format("is {}; expected a mapping", KindName(node_->kind)));
    return {};
  }
  std::vector<std::pair<std::string, Value>> entries;
  for (const YamlEntry& entry : node_->entries) {
    entries.emplace_back(entry.key,
                         Value(source_, entry.value, entry.key_position, Below(field_, entry.key)));
  }
  return entries;
}

Fields::Fields(Value mapping, std::vector<std::string_view> known)
    : mapping_(std::move(mapping)), known_(std::move(known)) {
  valid_ = mapping_.node().kind == YamlNode::Kind::kMapping;
  for (const auto& [name, value] : mapping_.Entries()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    value.Problem(
        Format("unknown field; expected {}{}", JoinWithOr(known_), DidYouMean(name, known_)));
  }
}

std::optional<Value> Fields::Find(std::string_view name) const {
  assert(std::find(known_.begin(), known_.end(), name) != known_.end());
  const YamlEntry* entry = EntryOf(name);
  if (entry == nullptr || entry->value->kind == YamlNode::Kind::kNull) return std::nullopt;
  return Value(mapping_.source_, entry->value, entry->key_position, Below(mapping_.field_, name));
}

const YamlEntry* Fields::EntryOf(std::string_view name) const {
  return valid_ ? FindEntry(mapping_.node(), name) : nullptr;
}

std::optional<Value> Fields::Require(std::string_view name) const {
  std::optional<Value> value = Find(name);
  if (!value && valid_) {
    mapping_.source_->problems().Add(
        {mapping_.source_->file(), mapping_.source_->Map(mapping_.position_),
         Below(mapping_.field_, name)},
        "missing; expected this field");
  }
  return value;
}

std::optional<std::pair<std::string_view, Value>> Fields::FindOneOf(
    const std::vector<std::string_view>& names, bool required) const {
  std::optional<std::pair<std::string_view, Value>> found;
  for (const std::string_view name : names) {
    std::optional<Value> value = Find(name);
    if (!value) continue;
    if (found) {
      value->Problem(
          Format("stands beside {}; expected only one of {}", found->first, JoinWithOr(names)));
      continue;
    }
    found.emplace(name, *std::move(value));
  }
  if (!found && required && valid_) {
    mapping_.Problem(Format("lacks a field; expected one of {}", JoinWithOr(names)));
  }
  return found;
}

std::string Fields::String(std::string_view name) const {
  const std::optional<Value> value = Find(name);
  return value ? value->AsString().value_or("") : "";
}

std::string Fields::RequiredString(std::string_view name) const {
  const std::optional<Value> value = Require(name);
  return value ? value->AsNonEmptyString().value_or("") : "";
}

std::string Fields::Selector(std::string_view name, std::string_view widest) const {
  const YamlEntry* entry = EntryOf(name);
  if (entry == nullptr) return "";
  const Value value(mapping_.source_, entry->value, entry->key_position,
                    Below(mapping_.field_, name));
  const bool is_null = entry->value->kind == YamlNode::Kind::kNull;
  std::string text = is_null ? "" : value.AsString().value_or("");
  if (is_null || (entry->value->kind == YamlNode::Kind::kScalar && entry->value->scalar.empty())) {
    value.Problem(Format("is empty; expected text, or {}", widest));
  }
  return text;
}

}  // namespace secretfs::k8s
