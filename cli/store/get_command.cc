// secretfs store get: one value to stdout, byte for byte.

#include <cstdio>
#include <memory>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/value_json.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::SecretEntry;
using providers::local::SnapshotPtr;
using providers::local::VersionEntry;

struct GetFlags {
  StoreOptions store;
  std::string name;
  std::string version;
  bool force = false;
  bool json = false;
};

// Damage elsewhere does not keep this value from being read, but is never passed over in silence.
absl::Status WarnOfDamage(const providers::local::StoreSnapshot& snapshot) {
  SECRETFS_ASSIGN_OR_RETURN(const auto damaged, snapshot.FindDamage());
  ReportDamage(damaged, snapshot);
  return absl::OkStatus();
}

absl::Status Get(const GetFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr snapshot, store.Read());
  const SecretEntry* entry = snapshot->Find(flags.name);
  if (entry == nullptr) return NoSuchSecret(flags.name, snapshot->index());
  const VersionEntry* version = providers::local::SelectVersion(*entry, flags.version);
  if (version == nullptr) {
    return absl::NotFoundError(Format("{} has no version {}; secretfs store history {} shows them",
                                      Printable(flags.name), Printable(flags.version),
                                      Printable(flags.name)));
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes value, snapshot->ReadValue(flags.name, *version));
  SECRETFS_RETURN_IF_ERROR(WarnOfDamage(*snapshot));
  if (!flags.json) return WriteStandardOutput(value.ExposeAsText());
  const SecretBytes json = VersionToJson(flags.name, *version, value);
  return WriteStandardOutput(json.ExposeAsText());
}

int RunGet(const GetFlags& flags) {
  if (!StandardOutputMayHoldValues(flags.force)) {
    return FailUsage(
        "stdout is a terminal, where the value would stay readable; use a pipe or --force");
  }
  const absl::Status status = Get(flags);
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace

void AddStoreGetCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand("get", "Print a value as it is; not to a terminal");
  auto flags = std::make_shared<GetFlags>();
  command->add_option("name", flags->name, "The secret's name")->type_name("NAME")->required();
  command->add_option("--version", flags->version, "An older version, as history shows them")
      ->type_name("N");
  command->add_flag("--force", flags->force, "Print to a terminal all the same");
  command->add_flag("--json", flags->json,
                    "Print name, version, time and value as JSON (valueBase64 if it is no text)");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store get db/password | wc -c\n"
                 "  secretfs store get db/password --version 2 > old-password"));
  command->callback([flags, &invocation] { invocation.run = [flags] { return RunGet(*flags); }; });
}

}  // namespace secretfs::cli
