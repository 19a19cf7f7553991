#include "base/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs {
namespace {

// Newer than Debian's linux/landlock.h (include/uapi/linux/landlock.h of Linux 6.12).
constexpr uint64_t kRefer = uint64_t{1} << 13;        // ABI 2
constexpr uint64_t kTruncate = uint64_t{1} << 14;     // ABI 3
constexpr uint64_t kIoctlDevice = uint64_t{1} << 15;  // ABI 5
constexpr uint64_t kNetBindTcp = uint64_t{1} << 0;    // ABI 4
constexpr uint64_t kScopeAbstractSockets = 1;         // ABI 6
constexpr uint64_t kScopeSignals = uint64_t{1} << 1;  // ABI 6
struct RulesetAttributes {
  uint64_t handled_access_fs = 0;
  uint64_t handled_access_net = 0;
  uint64_t scoped = 0;
};

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadFolder = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

// All rights that ABI 1 knows are the lowest 13 bits.
uint64_t AllRights(int abi) {
  uint64_t rights = (uint64_t{1} << 13) - 1;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDevice;
  return rights;
}

// The structure grew with the ABI; older kernels refuse what they do not know.
size_t AttributesSize(int abi) {
  if (abi >= 6) return sizeof(RulesetAttributes);
  return abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

absl::Status AddPath(int ruleset, const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat attributes = {};
  // Not there, or not for us: then nothing has to be allowed.
  if (!file.valid() || fstat(file.get(), &attributes) != 0) return absl::OkStatus();
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = S_ISDIR(attributes.st_mode) ? kReadFolder : kReadFile;
  rule.parent_fd = file.get();
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      Format("Landlock does not take a rule for {} ({})", path, strerror(errno)));
}

}  // namespace

absl::StatusOr<bool> RestrictFiles(const std::vector<std::string>& readable, int most_abi) {
  const auto newest = static_cast<int>(
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  const int abi = std::min(newest, most_abi);
  if (abi < 1) return false;
  RulesetAttributes attributes;
  attributes.handled_access_fs = AllRights(abi);
  attributes.handled_access_net = abi >= 4 ? kNetBindTcp : 0;
  attributes.scoped = abi >= 6 ? kScopeAbstractSockets | kScopeSignals : 0;
  const UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, AttributesSize(abi), 0)));
  if (!ruleset.valid()) {
    return absl::UnavailableError(Format("Landlock makes no ruleset ({})", strerror(errno)));
  }
  for (const std::string& path : readable) {
    const absl::Status added = AddPath(ruleset.get(), path);
    if (!added.ok()) return added;
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return absl::PermissionDeniedError(Format("Landlock cannot be entered ({})", strerror(errno)));
  }
  return true;
}

}  // namespace secretfs
