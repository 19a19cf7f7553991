#pragma once

// The names of one browsed directory: what the store listed, what secretfs adds to it, and how each
// is shown. The rule:
//   - Names of the store come first and are shown as names.h says. In a structured store each is a
//     directory (of fields, of names below it, or both). In any other a secret is a file and a
//     prefix is a directory.
//   - secretfs adds NAME.json, the whole value, beside each secret of a structured store; and
//   NAME~,
//     the value, where an unstructured store has both a secret and a prefix NAME.
//   - The fields of a directory that is a secret come last, in order of their names.
//   - An added name or field that is taken gets "~" appended until it is free. Nothing is hidden.
// So what a name of the store means never depends on a value.
//
// Thread-safety: immutable once made.

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "providers/provider.h"

namespace secretfs::fs {

struct BrowseName {
  enum class Kind { kDirectory, kValue, kField };
  std::string shown;
  Kind kind = Kind::kValue;
  std::string name;  // the store's name in this directory, or the field
  bool is_secret = false;
  bool is_prefix = false;
  friend bool operator==(const BrowseName&, const BrowseName&) = default;
};

class NameTable {
 public:
  static NameTable OfListing(std::vector<providers::ListEntry> entries, bool structured);
  // `beside`: the table of the same directory's listing; may be null.
  static NameTable OfFields(const providers::Secret& secret, const NameTable* beside);

  // Null when there is none.
  const BrowseName* Find(std::string_view shown) const;
  // In order of `shown`.
  const std::vector<BrowseName>& names() const { return names_; }

 private:
  // Adds the first free one of `base`, `base`~, `base`~~ …
  void AddGenerated(std::string base, BrowseName name, const NameTable* beside);
  void Add(BrowseName name);
  void Sort();

  std::vector<BrowseName> names_;
  std::unordered_set<std::string> taken_;  // only while being made
};

// The store path of `name` below `prefix`.
std::string JoinStorePath(std::string_view prefix, std::string_view name);

}  // namespace secretfs::fs
