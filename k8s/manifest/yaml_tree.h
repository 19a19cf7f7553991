#pragma once

// YAML text as a tree of plain values with positions: the only door to yaml-cpp. Bounded: text
// size, nesting and number of nodes, where every use of an alias counts all that it stands for.
// Duplicate keys, keys that are not scalars, aliases inside their own anchor, bytes that are not
// UTF-8 text: all refused. Merge keys ("<<") are resolved. Nothing throws.
//
// A scalar may be a credential (a Kubernetes Secret given along): scalars are wiped when their node
// goes, and no message here quotes one. Trees are immutable once made; not thread-safe while being
// made.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/manifest/problems.h"

namespace secretfs::k8s {

struct YamlNode;
using YamlNodePtr = std::shared_ptr<const YamlNode>;

struct YamlEntry {
  std::string key;
  Position key_position;
  YamlNodePtr value;  // never null
};

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  YamlNode() = default;
  YamlNode(const YamlNode&) = delete;
  YamlNode& operator=(const YamlNode&) = delete;
  ~YamlNode();

  Kind kind = Kind::kNull;
  Position position;
  std::string scalar;
  // Quoted, a block scalar or tagged as a string: never a number or boolean.
  bool is_text = false;
  // Set for a literal block ("|"): where its first character stands, so that positions inside the
  // text can be told as positions of the file.
  std::optional<Position> literal_start;
  std::vector<YamlNodePtr> items;  // kSequence
  std::vector<YamlEntry> entries;  // kMapping, in the order of the text
};

// The entry of a mapping with this key, or null.
const YamlEntry* FindEntry(const YamlNode& mapping, std::string_view key);

struct YamlProblem {
  Position position;
  std::string field;
  std::string message;
};

struct YamlStream {
  std::vector<YamlNodePtr> documents;  // without empty ones
  std::vector<YamlProblem> problems;   // the documents cannot be used if there are any
};

inline constexpr size_t kLargestManifest = 4 << 20;  // bytes

YamlStream ParseYaml(std::string_view text);

}  // namespace secretfs::k8s
