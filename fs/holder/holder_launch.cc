#include "fs/holder/holder_launch.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/text.h"
#include "fs/holder/holder_protocol.h"
#include "fs/holder/wire.h"

namespace secretfs::fs {
namespace {

constexpr uint32_t kLaunchMagic = 0x7366686c;
constexpr uint32_t kVersion = 2;
constexpr size_t kLongestLaunch = 4 << 20;
// Each server is told all of them in one packet.
constexpr size_t kMostOpenableBytes = kLongestPacket - (8 << 10);

// For both directions: `Launch` may be const.
template <typename Wire, typename Launch>
void LaunchFields(Wire& wire, Launch& launch) {
  const auto all = [&](auto&... fields) { (wire(fields), ...); };
  all(launch.server_arguments, launch.server_group, launch.use_sandbox, launch.openable,
      launch.server_timeout, launch.keep_values, launch.kept_bytes, launch.use_resend,
      launch.upgrade_on_hangup, launch.ends_without_mounts, launch.log_level, launch.log_json,
      launch.payload, launch.control, launch.report, launch.log, launch.control_path,
      launch.holder_path);
}

template <typename Wire, typename Mount>
void MountFields(Wire& wire, Mount& mount) {
  wire(mount.directory);
  wire(mount.source);
  wire(mount.allow_other);
  wire(mount.auto_unmount);
}

absl::StatusOr<std::string> ReadAll(int descriptor) {
  struct stat attributes = {};
  if (fstat(descriptor, &attributes) != 0) {
    return absl::InvalidArgumentError(
        Format("descriptor {} cannot be read ({})", descriptor, strerror(errno)));
  }
  if (attributes.st_size < 0 || static_cast<size_t>(attributes.st_size) > kLongestLaunch) {
    return absl::InvalidArgumentError("the holder's launch is too long");
  }
  std::string bytes(static_cast<size_t>(attributes.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return absl::InvalidArgumentError("the holder's launch cannot be read");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

absl::Status Check(const HolderLaunch& launch) {
  if (launch.server_arguments.empty() || !launch.server_arguments.front().starts_with('/')) {
    return absl::InvalidArgumentError("the server's program must be an absolute path");
  }
  if (launch.server_timeout <= Duration::zero()) {
    return absl::InvalidArgumentError("the server timeout must be above 0");
  }
  size_t bytes = 0;
  for (const std::string& path : launch.openable) bytes += path.size() + sizeof(uint32_t);
  if (bytes > kMostOpenableBytes) {
    return absl::InvalidArgumentError(
        Format("the names of the files that the server may read are {} bytes long together, and {} "
               "are possible; name their folders instead",
               bytes, kMostOpenableBytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> WriteHolderLaunch(const HolderLaunch& launch) {
  WireWriter wire;
  wire(kLaunchMagic);
  wire(kVersion);
  LaunchFields(wire, launch);
  wire(launch.server_user.has_value());
  wire(launch.server_user.value_or(0));
  wire(static_cast<uint32_t>(launch.mounts.size()));
  for (const MountOptions& mount : launch.mounts) MountFields(wire, mount);
  // Not close-on-exec: the holder is given it by exec.
  UniqueFd memory(memfd_create("secretfs-holder-launch", 0));
  const std::string& bytes = wire.bytes();
  if (!memory.valid() ||
      pwrite(memory.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return absl::ResourceExhaustedError(
        Format("cannot write the holder's launch to memory ({})", strerror(errno)));
  }
  return memory;
}

absl::StatusOr<HolderLaunch> ReadHolderLaunch(int descriptor) {
  auto bytes = ReadAll(descriptor);
  if (!bytes.ok()) return bytes.status();
  WireReader wire(*bytes);
  uint32_t magic = 0, version = 0, mounts = 0;
  wire(magic);
  wire(version);
  if (magic != kLaunchMagic)
    return absl::InvalidArgumentError("what was read is no holder's launch");
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        Format("the holder's launch is of version {}, this program reads version {}: secretfs and "
               "secretfs-holder are of different releases",
               version, kVersion));
  }
  HolderLaunch launch;
  LaunchFields(wire, launch);
  bool has_user = false;
  uid_t user = 0;
  wire(has_user);
  wire(user);
  if (has_user) launch.server_user = user;
  wire(mounts);
  for (uint32_t i = 0; i < mounts && i < kMostWireItems; ++i) {
    MountFields(wire, launch.mounts.emplace_back());
  }
  if (!wire.Finished()) return absl::InvalidArgumentError("the holder's launch is damaged");
  if (absl::Status status = Check(launch); !status.ok()) return status;
  return launch;
}

}  // namespace secretfs::fs
