// secretfs serve: what secretfs-holder starts; of no use to anybody else, and not in the help.

#include <memory>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/server.h"
#include "fs/holder/server_start.h"

namespace secretfs::cli {
namespace {

int RunServe() {
  // First of all: until then this process is root's, if its holder is.
  absl::StatusOr<UniqueFd> socket = fs::BecomeServer();
  if (absl::IsNotFound(socket.status())) {
    return FailUsage(
        "'secretfs serve' is started by secretfs-holder; 'secretfs mount' is for people");
  }
  if (!socket.ok()) return Fail(socket.status());
  return RunServer(*std::move(socket), ProcessEnvironment());
}

}  // namespace

void AddServeCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("serve", "Serve the mounts of a holder");
  command->group("");  // hidden
  // For people who look at the list of processes.
  auto directory = std::make_shared<std::string>();
  command->add_option("directory", *directory, "The mount")->type_name("DIR");
  command->callback([directory, &invocation] { invocation.run = [] { return RunServe(); }; });
}

}  // namespace secretfs::cli
