#include "fs/browse_names.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "fs/names.h"

namespace secretfs::fs {

NameTable NameTable::OfListing(std::vector<providers::ListEntry> entries, bool structured) {
  NameTable table;
  table.names_.reserve(structured ? entries.size() * 2 : entries.size());
  for (const providers::ListEntry& entry : entries) {
    const bool directory = structured || entry.is_prefix;
    BrowseName name{.shown = {},
                    .kind = directory ? BrowseName::Kind::kDirectory : BrowseName::Kind::kValue,
                    .name = entry.name,
                    .is_secret = entry.is_secret,
                    .is_prefix = entry.is_prefix};
    // Free but for two long names with one digest.
    table.AddGenerated(entry.name, std::move(name), nullptr);
  }
  for (providers::ListEntry& entry : entries) {
    if (!entry.is_secret || !(structured || entry.is_prefix)) continue;
    std::string base = entry.name + (structured ? ".json" : "~");
    BrowseName name{.shown = {},
                    .kind = BrowseName::Kind::kValue,
                    .name = std::move(entry.name),
                    .is_secret = true,
                    .is_prefix = false};
    table.AddGenerated(std::move(base), std::move(name), nullptr);
  }
  table.Sort();
  return table;
}

NameTable NameTable::OfFields(const providers::Secret& secret, const NameTable* beside) {
  NameTable table;
  for (const auto& [field, value] : secret.fields) {
    BrowseName name{.shown = {},
                    .kind = BrowseName::Kind::kField,
                    .name = field,
                    .is_secret = false,
                    .is_prefix = false};
    table.AddGenerated(field, std::move(name), beside);
  }
  table.Sort();
  return table;
}

const BrowseName* NameTable::Find(std::string_view shown) const {
  const auto found = std::lower_bound(
      names_.begin(), names_.end(), shown,
      [](const BrowseName& name, std::string_view wanted) { return name.shown < wanted; });
  return found == names_.end() || found->shown != shown ? nullptr : &*found;
}

void NameTable::AddGenerated(std::string base, BrowseName name, const NameTable* beside) {
  std::string shown = ShownName(base);
  while (taken_.contains(shown) || (beside != nullptr && beside->Find(shown) != nullptr)) {
    base += '~';
    shown = ShownName(base);
  }
  name.shown = std::move(shown);
  Add(std::move(name));
}

void NameTable::Add(BrowseName name) {
  taken_.insert(name.shown);
  names_.push_back(std::move(name));
}

void NameTable::Sort() {
  taken_ = {};
  std::sort(names_.begin(), names_.end(),
            [](const BrowseName& a, const BrowseName& b) { return a.shown < b.shown; });
}

std::string JoinStorePath(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : Format("{}/{}", prefix, name);
}

}  // namespace secretfs::fs
