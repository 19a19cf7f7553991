// secretfs upgrade: lets the program that is installed now take over running mounts, without a
// reader noticing.

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_path.h"
#include "cli/exit_codes.h"
#include "cli/mount_directory.h"
#include "fs/holder/holder_control.h"

namespace secretfs::cli {
namespace {

absl::Status UpgradeOne(const std::string& given) {
  const std::string directory = CanonicalMountDirectory(given);
  for (const std::string& place : TrustedControlDirectories(ProcessEnvironment())) {
    const absl::Status status = fs::UpgradeThroughHolder(place + "/" + HolderSocketName(directory));
    if (!absl::IsNotFound(status)) return status;
  }
  return absl::NotFoundError(Format("no secretfs of this user holds a mount on {}", directory));
}

int RunUpgrade(const std::string& directory, bool all) {
  if (directory.empty() != all) return FailUsage("expected DIR, or --all for every mount");
  if (!all) {
    const absl::Status status = UpgradeOne(directory);
    return status.ok() ? kExitOk : Fail(status);
  }
  int code = kExitOk;
  for (const std::string& socket : HolderSockets(ProcessEnvironment())) {
    const absl::Status status = fs::UpgradeThroughHolder(socket);
    if (status.ok() || absl::IsNotFound(status)) continue;
    code = Fail(status);
  }
  return code;
}

}  // namespace

void AddUpgradeCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "upgrade", "Let the installed program take over running mounts; readers do not notice");
  auto directory = std::make_shared<std::string>();
  auto all = std::make_shared<bool>(false);
  command->add_option("directory", *directory, "The directory on which it is mounted")
      ->type_name("DIR");
  command->add_flag("--all", *all, "Every mount of this user");
  command->footer(HelpFooter("  secretfs upgrade ~/secrets\n  secretfs upgrade --all"));
  command->callback([directory, all, &invocation] {
    invocation.run = [directory, all] { return RunUpgrade(*directory, *all); };
  });
}

}  // namespace secretfs::cli
