#include "cli/server_user.h"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"

namespace secretfs::cli {
namespace {

constexpr uid_t kLargestUser = 0xfffffffe;
// systemd.io/UIDS-GIDS: unused; below are homed's users, above DynamicUser= and nobody.
constexpr uid_t kFirstUnused = 60706;
constexpr uid_t kLastUnused = 61183;

std::optional<ServerUser> UserNamed(const char* name) {
  const passwd* entry = getpwnam(name);
  if (entry == nullptr) return std::nullopt;
  return ServerUser{.uid = entry->pw_uid, .gid = entry->pw_gid};
}

// Of all processes that /proc shows: real, effective, saved, and of the file system.
std::set<uid_t> UsersOfProcesses() {
  std::set<uid_t> users;
  DIR* const folder = opendir("/proc");
  if (folder == nullptr) return users;
  while (const dirent* entry = readdir(folder)) {
    if (isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    std::ifstream status(Format("/proc/{}/status", static_cast<const char*>(entry->d_name)));
    for (std::string line; std::getline(status, line);) {
      if (!line.starts_with("Uid:")) continue;
      std::istringstream numbers(line.substr(4));
      for (uid_t user = 0; numbers >> user;) users.insert(user);
      break;
    }
  }
  closedir(folder);
  return users;
}

absl::StatusOr<ServerUser> MadeUpUser(const std::string& directory) {
  const std::set<uid_t> running = UsersOfProcesses();
  const uid_t user = UnusedUser(directory, [&running](uid_t candidate) {
    return running.contains(candidate) || getpwuid(candidate) != nullptr ||
           getgrgid(static_cast<gid_t>(candidate)) != nullptr;
  });
  if (user != 0) return ServerUser{.uid = user, .gid = static_cast<gid_t>(user), .made_up = true};
  return absl::NotFoundError(
      Format("there is no user 'secretfs', and all of {} to {} are taken; make the user ('useradd "
             "--system secretfs'), or name one with --server-user",
             kFirstUnused, kLastUnused));
}

}  // namespace

uid_t UnusedUser(const std::string& directory, const std::function<bool(uid_t)>& is_taken) {
  constexpr uint32_t kCount = kLastUnused - kFirstUnused + 1;
  uint32_t digest = 2166136261;  // FNV-1a
  for (const char byte : directory) {
    digest = (digest ^ static_cast<unsigned char>(byte)) * 16777619;
  }
  for (uint32_t i = 0; i < kCount; ++i) {
    const uid_t candidate = kFirstUnused + (digest % kCount + i) % kCount;
    if (!is_taken(candidate)) return candidate;
  }
  return 0;
}

absl::StatusOr<std::optional<ServerUser>> FindServerUser(const std::string& wanted,
                                                         const std::string& directory) {
  if (geteuid() != 0) {
    if (wanted.empty()) return std::nullopt;
    return absl::InvalidArgumentError("--server-user is for mounts that root makes");
  }
  if (wanted.empty()) {
    if (const auto own = UserNamed("secretfs")) return own;
    const absl::StatusOr<ServerUser> made_up = MadeUpUser(directory);
    if (!made_up.ok()) return made_up.status();
    return *made_up;
  }
  std::optional<ServerUser> user = UserNamed(wanted.c_str());
  if (!user.has_value()) {
    uint64_t number = 0;
    const char* const end = wanted.data() + wanted.size();
    if (std::from_chars(wanted.data(), end, number).ptr != end || number > kLargestUser) {
      return absl::NotFoundError(
          Format("--server-user '{}' is no user of this machine and no number", wanted));
    }
    const passwd* entry = getpwuid(static_cast<uid_t>(number));
    user = ServerUser{.uid = static_cast<uid_t>(number),
                      .gid = entry == nullptr ? static_cast<gid_t>(number) : entry->pw_gid};
  }
  if (user->uid != 0) return user;
  return absl::InvalidArgumentError(
      "--server-user: a server has no business to be root; name another user");
}

}  // namespace secretfs::cli
