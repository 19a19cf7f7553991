#include "fs/holder/server_start.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"

namespace secretfs::fs {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::FailedPreconditionError(
      Format("the server could not {} ({})", what, strerror(errno)));
}

absl::Status BecomeUser(uid_t user, gid_t group) {
  if (setgroups(0, nullptr) != 0) return Failed("drop the supplementary groups");
  if (setresgid(group, group, group) != 0) return Failed("change to its group");
  // From this step on the kernel keeps others of the user out (fs.suid_dumpable, normally 0).
  if (setresuid(user, user, user) != 0) return Failed(Format("become user {}", user));
  return absl::OkStatus();
}

absl::Status DropWhatIsLeft() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return Failed("drop its capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("set no_new_privs");
  return absl::OkStatus();
}

// A change of user has cleared the signal, so it is set after it; and a holder that died before it
// was set is found by who the parent is now.
absl::Status DieWithHolder(pid_t holder) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Failed("follow its holder");
  if (getppid() == holder) return absl::OkStatus();
  return absl::UnavailableError("the holder has ended");
}

// The numbers behind "NAME:" in /proc/PID/status.
std::vector<uint64_t> NumbersIn(std::istream& status, std::string_view name, int base) {
  std::vector<uint64_t> numbers;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    std::istringstream words(line.substr(name.size() + 1));
    for (std::string word; words >> word;) {
      uint64_t number = 0;
      std::from_chars(word.data(), word.data() + word.size(), number, base);
      numbers.push_back(number);
    }
    break;
  }
  return numbers;
}

}  // namespace

std::string FormatServerStart(const ServerStartWords& words) {
  std::string text = Format("{} {}", words.socket, words.holder);
  if (words.user.has_value()) text += Format(" {} {}", *words.user, words.group);
  return text;
}

std::optional<ServerStartWords> ParseServerStart(const std::string& text) {
  std::istringstream stream(text);
  std::vector<int64_t> numbers;
  for (int64_t number = 0; stream >> number;) numbers.push_back(number);
  if (!stream.eof() || (numbers.size() != 2 && numbers.size() != 4)) return std::nullopt;
  for (const int64_t number : numbers) {
    if (number < 0 || number > UINT32_MAX) return std::nullopt;
  }
  if (numbers[0] > INT32_MAX || numbers[1] > INT32_MAX) return std::nullopt;
  ServerStartWords words;
  words.socket = static_cast<int>(numbers[0]);
  words.holder = static_cast<pid_t>(numbers[1]);
  if (numbers.size() == 4) {
    words.user = static_cast<uid_t>(numbers[2]);
    words.group = static_cast<gid_t>(numbers[3]);
  }
  return words;
}

absl::StatusOr<UniqueFd> BecomeServer() {
  const char* const variable = getenv(kServerStartVariable);
  if (variable == nullptr) {
    return absl::NotFoundError("a server is started by secretfs-holder, never by hand");
  }
  const std::optional<ServerStartWords> words = ParseServerStart(variable);
  unsetenv(kServerStartVariable);
  if (!words.has_value()) {
    return absl::InvalidArgumentError("what the holder says to its server is damaged");
  }
  if (words->user.has_value()) {
    const absl::Status changed = BecomeUser(*words->user, words->group);
    if (!changed.ok()) return changed;
  }
  if (absl::Status dropped = DropWhatIsLeft(); !dropped.ok()) return dropped;
  if (absl::Status follows = DieWithHolder(words->holder); !follows.ok()) return follows;
  fcntl(words->socket, F_SETFD, FD_CLOEXEC);
  return UniqueFd(words->socket);
}

absl::Status CheckServerRights(pid_t process, uid_t user) {
  const std::string path = Format("/proc/{}/status", process);
  std::ifstream users(path), capabilities(path);
  for (const uint64_t found : NumbersIn(users, "Uid", 10)) {
    if (found == user) continue;
    return absl::PermissionDeniedError(
        Format("the server runs as user {} instead of {}", found, user));
  }
  // Without /proc there is nothing to be seen.
  for (const uint64_t found : NumbersIn(capabilities, "CapPrm", 16)) {
    if (found != 0) return absl::PermissionDeniedError("the server kept capabilities");
  }
  return absl::OkStatus();
}

}  // namespace secretfs::fs
