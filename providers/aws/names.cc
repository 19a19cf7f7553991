#include "providers/aws/names.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace secretfs::providers::aws {
namespace {

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) {
      return false;
    }
  }
  return true;
}

bool HasEmptyComponent(std::string_view path) {
  return path.empty() || path.front() == '/' || path.back() == '/' ||
         path.find("//") != std::string_view::npos;
}

}  // namespace

std::string_view FirstComponent(std::string_view name) { return name.substr(0, name.find('/')); }

bool IsArn(std::string_view name) { return name.starts_with("arn:"); }

std::vector<ListEntry> EntriesBelow(std::string_view prefix, const std::vector<std::string>& names,
                                    std::set<std::string, std::less<>>& slashed) {
  std::map<std::string, ListEntry, std::less<>> entries;
  for (const std::string& name : names) {
    std::string_view path = name;
    const bool leave_slash_out = path.starts_with('/') && !prefix.starts_with('/');
    if (leave_slash_out) path.remove_prefix(1);
    if (!path.starts_with(prefix)) continue;
    const std::string_view rest = path.substr(prefix.size());
    if (HasEmptyComponent(rest)) continue;
    if (leave_slash_out) slashed.insert(std::string(FirstComponent(path)));
    const std::string component(FirstComponent(rest));
    ListEntry& entry = entries[component];
    entry.name = component;
    (component.size() == rest.size() ? entry.is_secret : entry.is_prefix) = true;
  }
  std::vector<ListEntry> result;
  for (auto& [name, entry] : entries) result.push_back(std::move(entry));
  return result;
}

VersionSelector ParseVersion(std::string_view version) {
  constexpr std::string_view kId = "uuid/";
  if (version.starts_with(kId)) return {.id = std::string(version.substr(kId.size())), .stage = ""};
  if (IsUuid(version)) return {.id = std::string(version), .stage = ""};
  return {.id = "", .stage = std::string(version)};
}

}  // namespace secretfs::providers::aws
