// secretfs umount: asks the process that serves the mount; when there is none any more, takes the
// mount away that it left.

#include <memory>
#include <string>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_client.h"
#include "cli/exit_codes.h"
#include "cli/mount_directory.h"
#include "fs/mount.h"

namespace secretfs::cli {
namespace {

// Unmounting takes up to five seconds, revoking leases three more.
constexpr std::chrono::seconds kPatience(15);

absl::Status AskToUnmount(ControlClient client) {
  SECRETFS_ASSIGN_OR_RETURN(
      const ControlResponse response,
      client.Ask({.kind = ControlRequest::Kind::kUnmount, .path = {}}, kPatience));
  SECRETFS_RETURN_IF_ERROR(response.status);
  // The mount is gone; leases are being given back until the connection ends.
  if (client.WaitForEnd(kPatience)) return absl::OkStatus();
  return absl::DeadlineExceededError(
      "the mount is gone, but the process that served it has not ended");
}

absl::Status Umount(const std::string& given) {
  const std::string directory = CanonicalMountDirectory(given);
  absl::StatusOr<ControlClient> client =
      ControlClient::ForDirectory(ProcessEnvironment(), directory);
  if (client.ok()) return AskToUnmount(*std::move(client));
  if (!absl::IsNotFound(client.status())) return client.status();
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
