// secretfs store restore: brings back what store rm took, in one transaction.

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::SnapshotPtr;
using providers::local::StoreTransaction;

struct RestoreFlags {
  StoreOptions store;
  std::vector<std::string> names;
  uint64_t version = 0;  // 0: what the newest removal took
  bool recursive = false;
};

struct Restored {
  std::vector<uint64_t> versions;
  uint64_t newest = 0;  // of the secret now
};
using RestoredNames = std::map<std::string, Restored>;

absl::StatusOr<RestoredNames> Restore(const RestoreFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  RestoredNames restored;
  const absl::Status done = store.Update([&](StoreTransaction& transaction) -> absl::Status {
    const auto& index = transaction.index();
    SECRETFS_ASSIGN_OR_RETURN(
        const std::set<std::string> names,
        MatchNames(flags.names, flags.recursive, index.removed,
                   [&index](std::string_view name) { return NoSuchRemoved(name, index); }));
    for (const std::string& name : names) {
      Restored& one = restored[name];
      SECRETFS_ASSIGN_OR_RETURN(
          one.versions, flags.version == 0 ? transaction.Restore(name)
                                           : transaction.RestoreVersion(name, flags.version));
      one.newest = index.secrets.find(name)->second.versions.back().number;
    }
    return absl::OkStatus();
  });
  if (!done.ok()) return done;
  return restored;
}

int RunRestore(const RestoreFlags& flags) {
  const absl::StatusOr<RestoredNames> restored = Restore(flags);
  if (absl::IsInvalidArgument(restored.status())) return FailUsage(MessageOf(restored.status()));
  if (!restored.ok()) return Fail(restored.status());
  for (const auto& [name, one] : *restored) {
    const std::string stays = one.newest == one.versions.back()
                                  ? ""
                                  : Format("; version {} stays the newest", one.newest);
    printf("restored: %s (%s)%s\n", Printable(name).c_str(),
           Count(one.versions.size(), "version").c_str(), stays.c_str());
  }
  return kExitOk;
}

}  // namespace

void AddStoreRestoreCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "restore", "Bring back what rm took; what was put since stays the newest version");
  auto flags = std::make_shared<RestoreFlags>();
  command->add_option("name", flags->names, "The names, as list --removed shows them")
      ->type_name("NAME")
      ->required();
  command->add_option("--version", flags->version, "Only this version, of whichever removal")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("-r,--recursive", flags->recursive, "What is below each name, too");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store list --removed\n"
                 "  secretfs store restore db/password\n"
                 "  secretfs store restore --recursive db"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunRestore(*flags); }; });
}

}  // namespace secretfs::cli
