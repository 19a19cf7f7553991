// secretfs refresh: asks the stores now, through the process that serves the mount.

#include <memory>
#include <string>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_client.h"
#include "cli/exit_codes.h"
#include "cli/mount_directory.h"

namespace secretfs::cli {
namespace {

// More than the longest deadline that makes sense for a reader.
constexpr std::chrono::seconds kRefreshPatience(120);

// The path below the mount; people also give the path of the file itself.
std::string PathInside(const std::string& directory, const std::string& path) {
  if (!path.starts_with('/')) return path;
  const std::string inside = directory + "/";
  return path.starts_with(inside) ? path.substr(inside.size()) : path;
}

absl::Status Refresh(const std::string& given, const std::string& path) {
  const std::string directory = CanonicalMountDirectory(given);
  SECRETFS_ASSIGN_OR_RETURN(ControlClient client,
                            ControlClient::ForDirectory(ProcessEnvironment(), directory));
  SECRETFS_ASSIGN_OR_RETURN(
      const ControlResponse response,
      client.Ask({.kind = ControlRequest::Kind::kRefresh, .path = PathInside(directory, path)},
                 kRefreshPatience));
  return response.status;
}

int RunRefresh(const std::string& directory, const std::string& path) {
  const absl::Status status = Refresh(directory, path);
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace

void AddRefreshCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "refresh", "Ask the store now for one file of a mount, or for all that were read so far");
  auto directory = std::make_shared<std::string>();
  auto path = std::make_shared<std::string>();
  command->add_option("directory", *directory, "The directory on which it is mounted")
      ->type_name("DIR")
      ->required();
  command->add_option("path", *path, "One file, as a path below DIR")->type_name("PATH");
  command->footer(
      HelpFooter("  secretfs refresh ~/secrets db/password\n"
                 "  secretfs refresh ~/secrets             # all files that were read so far"));
  command->callback([directory, path, &invocation] {
    invocation.run = [directory, path] { return RunRefresh(*directory, *path); };
  });
}

}  // namespace secretfs::cli
