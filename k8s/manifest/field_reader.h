#pragma once

// Reads typed fields out of a YAML tree and collects every problem with file, line, column and the
// field's path. The rule throughout: a read that fails has reported why and returns nothing; the
// caller goes on with the next field. Unknown fields are refused with near misses; a null counts as
// not given, as in Kubernetes.
//
// Values refer to their Source and tree, which must outlive them. Not thread-safe.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "k8s/manifest/problems.h"
#include "k8s/manifest/yaml_tree.h"

namespace secretfs::k8s {

// One text that a tree was parsed from: a file, or YAML that stands inside a field of one.
class Source {
 public:
  Source(std::string file, Problems* problems) : file_(std::move(file)), problems_(problems) {}
  // Text inside the scalar `outer` of `parent`.
  Source(const Source& parent, const YamlNode& outer);

  const std::string& file() const { return file_; }
  Problems& problems() const { return *problems_; }
  // A position in this text as one of the file.
  Position Map(Position position) const;

 private:
  std::string file_;
  Problems* problems_;
  // Embedded text: where its first character stands, or (not `exact_`) the only position that is
  // known.
  Position start_;
  bool exact_ = true;
};

class Value {
 public:
  Value(const Source* source, YamlNodePtr node, std::string field);
  Value(const Source* source, YamlNodePtr node, Position position, std::string field);

  const YamlNode& node() const { return *node_; }
  YamlNodePtr node_pointer() const { return node_; }
  const Source& source() const { return *source_; }
  const std::string& field() const { return field_; }
  Location location() const;

  void Problem(std::string_view message) const;
  void Warn(std::string_view message) const;

  // Any scalar's text, numbers and booleans as they are written.
  std::optional<std::string> AsString() const;
  std::optional<std::string> AsNonEmptyString() const;
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInteger(int64_t least, int64_t most) const;
  std::optional<Duration> AsDuration() const;
  // Octal digits with a leading 0, plain or in quotes; in quotes also without. A plain number
  // without a leading 0 is decimal, as in Kubernetes: refused when it looks as if octal was meant,
  // or only warned of with `kubernetes_numbers`, where it has always meant this.
  std::optional<mode_t> AsMode(bool kubernetes_numbers) const;
  // The value whose name this is.
  template <typename Enum>
  std::optional<Enum> AsEnum(const std::vector<std::pair<std::string_view, Enum>>& values) const {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : values) names.push_back(name);
    const std::optional<size_t> index = AsOneOf(names);
    if (!index) return std::nullopt;
    return values[*index].second;
  }
  // The index of the name that this is.
  std::optional<size_t> AsOneOf(const std::vector<std::string_view>& names) const;

  // The items; none (reported) when this is no list.
  std::vector<Value> Items() const;
  // Names and values; none (reported) when this is no mapping.
  std::vector<std::pair<std::string, Value>> Entries() const;

 private:
  friend class Fields;
  bool IsScalar(std::string_view expected) const;

  const Source* source_;
  YamlNodePtr node_;
  Position position_;  // of the field's name where it has one
  std::string field_;
};

// The fields of a mapping, of which only `known` may occur.
class Fields {
 public:
  Fields(Value mapping, std::vector<std::string_view> known);

  // False when the value is no mapping (reported); every Find then returns nothing.
  bool valid() const { return valid_; }
  const Value& value() const { return mapping_; }

  // REQUIRES: `name` is one of `known`.
  std::optional<Value> Find(std::string_view name) const;
  // Reports a missing field.
  std::optional<Value> Require(std::string_view name) const;
  // The one field of `names` that is given; reports none (if `required`) or several.
  std::optional<std::pair<std::string_view, Value>> FindOneOf(
      const std::vector<std::string_view>& names, bool required) const;

  // "" when not given or wrong (reported).
  std::string String(std::string_view name) const;
  std::string RequiredString(std::string_view name) const;
  // A text that says what is wanted of more: "" only when it is not given. Given but empty, or
  // null, is reported: that is what an unset variable of a template leaves, and it would widen the
  // choice to everything without anybody asking. `widest`: how to ask for everything.
  std::string Selector(std::string_view name, std::string_view widest) const;

 private:
  const YamlEntry* EntryOf(std::string_view name) const;

  Value mapping_;
  std::vector<std::string_view> known_;
  bool valid_ = false;
};

}  // namespace secretfs::k8s
