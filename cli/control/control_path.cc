#include "cli/control/control_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs::cli {
namespace {

constexpr std::string_view kSuffix = ".sock";
constexpr std::string_view kHolderSuffix = ".holder";
constexpr size_t kNameLength = 16 + kSuffix.size();

// FNV-1a: the name must come out equal in every process, and needs no more than that. Should two
// directories ever meet, the daemon's answer says which one it serves.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

bool FitsSocketAddress(const std::string& directory) {
  return directory.size() + 1 + kNameLength < sizeof(sockaddr_un::sun_path);
}

// In the order of preference. The runtime directory counts only when it is this user's: `sudo` may
// hand on the variable of another.
std::vector<std::string> Candidates(const Environment& environment) {
  std::vector<std::string> candidates;
  // Nowhere else then: who names a directory wants no part in the mounts that are elsewhere.
  const std::string own = ValueOr(environment, "SECRETFS_RUNTIME_DIR", "");
  if (!own.empty()) return {own};
  const std::string runtime = ValueOr(environment, "XDG_RUNTIME_DIR", "");
  struct stat info{};
  if (runtime.starts_with('/') && stat(runtime.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
      info.st_uid == geteuid()) {
    candidates.push_back(runtime + "/secretfs");
  }
  if (geteuid() == 0) candidates.push_back("/run/secretfs");
  candidates.push_back(Format("/tmp/secretfs-{}", geteuid()));
  std::erase_if(candidates, [](const std::string& path) { return !FitsSocketAddress(path); });
  return candidates;
}

}  // namespace

absl::Status CheckPrivateDirectory(const std::string& path) {
  const UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info{};
  if (!directory.valid() || fstat(directory.get(), &info) != 0) {
    return absl::FailedPreconditionError(
        Format("{} is not a directory that can be opened ({})", path, strerror(errno)));
  }
  if (info.st_uid != geteuid()) {
    return absl::FailedPreconditionError(
        Format("{} belongs to user {}, not to {}", path, info.st_uid, geteuid()));
  }
  if ((info.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(
        Format("{} is open to others (mode {:04o}); chmod 700 it", path, info.st_mode & 07777));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MakeControlDirectory(const Environment& environment) {
  std::string problems;
  for (const std::string& path : Candidates(environment)) {
    absl::Status usable;
    if (!path.starts_with('/') || !FitsSocketAddress(path)) {
      usable = absl::FailedPreconditionError(
          Format("SECRETFS_RUNTIME_DIR '{}' must be absolute, and at most {} bytes long", path,
                 sizeof(sockaddr_un::sun_path) - kNameLength - 2));
    } else if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      usable = absl::FailedPreconditionError(Format("cannot make {} ({})", path, strerror(errno)));
    } else {
      usable = CheckPrivateDirectory(path);
    }
    if (usable.ok()) return path;
    problems += Format("{}{}", problems.empty() ? "" : "; ", MessageOf(usable));
  }
  return absl::FailedPreconditionError(Format("no directory for the control socket: {}", problems));
}

std::vector<std::string> TrustedControlDirectories(const Environment& environment) {
  std::vector<std::string> directories = Candidates(environment);
  std::erase_if(directories, [](const std::string& path) {
    return !path.starts_with('/') || !CheckPrivateDirectory(path).ok();
  });
  return directories;
}

std::string ControlSocketName(std::string_view mount_directory) {
  return Format("{:016x}{}", Hash(mount_directory), kSuffix);
}

std::string HolderSocketName(std::string_view mount_directory) {
  return Format("{:016x}{}", Hash(mount_directory), kHolderSuffix);
}

namespace {

std::vector<std::string> SocketsWith(std::string_view suffix, const Environment& environment) {
  constexpr size_t kHashDigits = 16;
  std::vector<std::string> sockets;
  for (const std::string& directory : TrustedControlDirectories(environment)) {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
    if (stream == nullptr) continue;
    while (const dirent* entry = readdir(stream.get())) {
      const std::string_view name = entry->d_name;
      if (name.size() == kHashDigits + suffix.size() && name.ends_with(suffix)) {
        sockets.push_back(Format("{}/{}", directory, name));
      }
    }
  }
  std::sort(sockets.begin(), sockets.end());
  return sockets;
}

}  // namespace

std::vector<std::string> ControlSockets(const Environment& environment) {
  return SocketsWith(kSuffix, environment);
}

std::vector<std::string> HolderSockets(const Environment& environment) {
  return SocketsWith(kHolderSuffix, environment);
}

}  // namespace secretfs::cli
