#include "fs/access_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "base/text.h"

namespace secretfs::fs {

bool MayRead(const Caller& caller, const Attributes& attributes, const GroupsOf& groups_of) {
  if (caller.is_publisher || caller.uid == 0) return true;
  if ((attributes.mode & S_IROTH) != 0) return true;
  if ((attributes.mode & S_IRUSR) != 0 && caller.uid == attributes.uid) return true;
  if ((attributes.mode & S_IRGRP) == 0) return false;
  if (caller.gid == attributes.gid) return true;
  const std::optional<std::vector<gid_t>> groups = groups_of ? groups_of(caller.pid) : std::nullopt;
  return !groups || std::find(groups->begin(), groups->end(), attributes.gid) != groups->end();
}

std::optional<std::vector<gid_t>> ProcessGroups(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  std::ifstream status(Format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kField = "Groups:";
    if (!line.starts_with(kField)) continue;
    std::istringstream numbers(line.substr(kField.size()));
    std::vector<gid_t> groups;
    for (gid_t group = 0; numbers >> group;) groups.push_back(group);
    return groups;
  }
  return std::nullopt;
}

}  // namespace secretfs::fs
