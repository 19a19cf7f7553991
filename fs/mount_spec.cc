#include "fs/mount_spec.h"

#include <set>
#include <string_view>

#include "base/text.h"
#include "fs/names.h"

namespace secretfs::fs {
namespace {

constexpr size_t kLongestPath = 4095;  // PATH_MAX without its NUL
constexpr mode_t kPermissionBits = 0777;

absl::Status CheckComponent(std::string_view component, const std::string& path) {
  if (component.empty()) {
    return absl::InvalidArgumentError(
        Format("path \"{}\": has an empty component; remove the doubled or last '/'", path));
  }
  if (component == "." || component == "..") {
    return absl::InvalidArgumentError(Format(
        "path \"{}\": \"{}\" could leave the mount; write the path without it", path, component));
  }
  if (component.starts_with("..")) {
    return absl::InvalidArgumentError(Format(
        "path \"{}\": component \"{}\" starts with \"..\", which is reserved for ..data and the "
        "like; choose another name",
        path, component));
  }
  if (component.size() > kLongestName) {
    return absl::InvalidArgumentError(
        Format("path \"{}…\": a component has {} bytes, the most is {}", path.substr(0, 64),
               component.size(), kLongestName));
  }
  return absl::OkStatus();
}

absl::Status CheckPath(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("path: is empty; name the file");
  if (path.front() == '/') {
    return absl::InvalidArgumentError(
        Format("path \"{}\": is absolute; write it relative to the mount's directory", path));
  }
  if (path.size() > kLongestPath) {
    return absl::InvalidArgumentError(Format("path \"{}…\": has {} bytes, the most is {}",
                                             path.substr(0, 64), path.size(), kLongestPath));
  }
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        Format("path \"{}\": contains a NUL byte", path.substr(0, path.find('\0'))));
  }
  for (std::string_view rest = path;;) {
    const size_t slash = rest.find('/');
    if (auto status = CheckComponent(rest.substr(0, slash), path); !status.ok()) return status;
    if (slash == std::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(slash + 1);
  }
}

absl::Status CheckMode(mode_t mode, std::string_view what) {
  if ((mode & ~kPermissionBits) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Format("{}: mode {:o} has more than permission bits; use 0000 to 0777", what, mode));
}

// All directories above `path`.
void AddParents(const std::string& path, std::set<std::string>& directories) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    directories.insert(path.substr(0, slash));
  }
}

// Refuses what stands at or below a browse tree: its names are the store's business.
absl::Status CheckOutsideBrowseTrees(const std::string& path, const std::set<std::string>& trees) {
  std::set<std::string> above;
  AddParents(path, above);
  above.insert("");
  for (const std::string& directory : above) {
    if (directory == path || !trees.contains(directory)) continue;
    return absl::InvalidArgumentError(
        Format("path \"{}\": lies inside the browse tree \"{}\"; give one of them another place",
               path, directory));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateMountSpec(const MountSpec& spec) {
  if (auto status = CheckMode(spec.file_mode, "file mode"); !status.ok()) return status;
  if (auto status = CheckMode(spec.directory_mode, "directory mode"); !status.ok()) return status;
  if (!spec.browse.empty() && spec.layout == Layout::kAtomic) {
    return absl::InvalidArgumentError(Format(
        "browse tree \"{}\": cannot be shown in the atomic layout, whose files change together; "
        "use the flat layout or name the files",
        spec.browse.front().path));
  }
  std::set<std::string> taken, directories, trees;
  const auto take = [&](const std::string& path) {
    if (taken.insert(path).second) return absl::OkStatus();
    return absl::InvalidArgumentError(
        Format("path \"{}\": stands twice; each path can show one thing", path));
  };
  for (const BrowseSpec& browse : spec.browse) {
    // "" is the mount's root.
    if (auto status = browse.path.empty() ? absl::OkStatus() : CheckPath(browse.path);
        !status.ok()) {
      return status;
    }
    if (auto status = take(browse.path); !status.ok()) return status;
    trees.insert(browse.path);
    AddParents(browse.path, directories);
  }
  for (const FileSpec& file : spec.files) {
    if (auto status = CheckPath(file.path); !status.ok()) return status;
    if (auto status = CheckMode(file.mode.value_or(0), Format("path \"{}\"", file.path));
        !status.ok()) {
      return status;
    }
    if (auto status = take(file.path); !status.ok()) return status;
    AddParents(file.path, directories);
  }
  for (const std::string& path : taken) {
    if (auto status = CheckOutsideBrowseTrees(path, trees); !status.ok()) return status;
  }
  for (const std::string& path : taken) {
    if (!directories.contains(path)) continue;
    return absl::InvalidArgumentError(Format(
        "path \"{}\": is both a file and a directory of other files; rename one of them", path));
  }
  return absl::OkStatus();
}

}  // namespace secretfs::fs
