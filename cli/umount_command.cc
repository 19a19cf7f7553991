// secretfs umount: asks the holder of the mount; when there is none any more, takes the mount away
// that it left.

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_path.h"
#include "cli/exit_codes.h"
#include "cli/mount_directory.h"
#include "fs/holder/holder_control.h"
#include "fs/mount.h"

namespace secretfs::cli {
namespace {

// Unmounting takes up to five seconds, revoking leases three more.
constexpr std::chrono::seconds kUnmountPatience(15);
constexpr std::chrono::milliseconds kPause(5);

// The mount goes first; then leases are given back until the holder has ended.
absl::Status AwaitEnd(const std::string& socket) {
  const auto end = std::chrono::steady_clock::now() + kUnmountPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (!fs::AskHolder(socket).ok()) return absl::OkStatus();
    std::this_thread::sleep_for(kPause);
  }
  return absl::DeadlineExceededError(
      "the mount is gone, but the process that held it has not ended");
}

absl::Status Umount(const std::string& given) {
  const std::string directory = CanonicalMountDirectory(given);
  for (const std::string& place : TrustedControlDirectories(ProcessEnvironment())) {
    const std::string socket = place + "/" + HolderSocketName(directory);
    const absl::Status status = fs::UnmountThroughHolder(socket, directory);
    if (status.ok()) return AwaitEnd(socket);
    if (!absl::IsNotFound(status)) return status;
  }
  const std::optional<dev_t> device = FindSecretfsMount(directory);
  if (!device.has_value()) {
    return absl::NotFoundError(Format("there is no secretfs mount on {}", directory));
  }
  return fs::UnmountFuse(directory, *device);
}

int RunUmount(const std::string& directory) {
  const absl::Status status = Umount(directory);
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace

void AddUmountCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "umount", "End a mount, giving its leases back; also takes away what a killed secretfs left");
  auto directory = std::make_shared<std::string>();
  command->add_option("directory", *directory, "The directory on which it is mounted")
      ->type_name("DIR")
      ->required();
  command->footer(HelpFooter("  secretfs umount ~/secrets"));
  command->callback(
      [directory, &invocation] { invocation.run = [directory] { return RunUmount(*directory); }; });
}

}  // namespace secretfs::cli
