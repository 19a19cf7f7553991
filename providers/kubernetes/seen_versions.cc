#include "providers/kubernetes/seen_versions.h"

#include <utility>

namespace secretfs::providers::kubernetes {

void SeenVersions::ReadBegan(const std::string& name) { ++reading_[name].count; }

bool SeenVersions::ReadEnded(const std::string& name, std::optional<std::string> version) {
  const auto it = reading_.find(name);
  const bool differs =
      version.has_value() && it->second.listed.has_value() && *it->second.listed != *version;
  if (--it->second.count == 0) reading_.erase(it);
  if (version.has_value()) Remember(name, *std::move(version));
  return differs;
}

void SeenVersions::Remember(const std::string& name, std::string version) {
  if (seen_.size() >= most_ && !seen_.contains(name)) {
    seen_.clear();
    lost_names_ = true;
  }
  seen_.insert_or_assign(name, std::move(version));
}

std::vector<std::string> SeenVersions::Listed(const std::vector<ObjectMetadata>& items,
                                              const std::string& only) {
  std::map<std::string_view, std::string_view> listed;
  for (const ObjectMetadata& item : items) listed.emplace(item.name, item.version);
  const auto version_of = [&listed](std::string_view name) {
    const auto it = listed.find(name);
    return it == listed.end() ? std::string_view() : it->second;
  };
  for (auto& [name, reading] : reading_) {
    if (only.empty() || name == only) reading.listed = std::string(version_of(name));
  }
  std::vector<std::string> changed;
  for (const auto& [name, version] : seen_) {
    if ((only.empty() || name == only) && version_of(name) != version) changed.push_back(name);
  }
  return changed;
}

bool SeenVersions::IsNews(const std::string& name, const std::string& version) const {
  const auto it = seen_.find(name);
  return it == seen_.end() || it->second != version;
}

}  // namespace secretfs::providers::kubernetes
