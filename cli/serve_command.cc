// secretfs serve: what secretfs-holder starts; of no use to anybody else, and not in the help.

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/text.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/server.h"

namespace secretfs::cli {
namespace {

constexpr char kSocketVariable[] = "SECRETFS_HOLDER_SOCKET";

int RunServe() {
  const char* number = getenv(kSocketVariable);
  if (number == nullptr) {
    return FailUsage(
        "'secretfs serve' is started by secretfs-holder; 'secretfs mount' is for people");
  }
  const int socket = atoi(number);
  unsetenv(kSocketVariable);
  return RunServer(socket, ProcessEnvironment());
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
