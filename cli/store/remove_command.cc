// secretfs store rm: secrets with all their versions, or one version, in one transaction.

#include <cstdio>
#include <memory>
#include <set>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::StoreIndex;
using providers::local::StoreTransaction;

struct RemoveFlags {
  StoreOptions store;
  std::vector<std::string> names;
  uint64_t version = 0;  // 0: all
  bool recursive = false;
  bool yes = false;
};

absl::StatusOr<std::set<std::string>> NamesToRemove(const RemoveFlags& flags,
                                                    const StoreIndex& index) {
  std::set<std::string> names;
  for (const std::string& name : flags.names) {
    const size_t before = names.size();
    if (index.secrets.contains(name)) names.insert(name);
    if (flags.recursive) {
      for (const auto& [known, entry] : index.secrets) {
        if (IsBelow(known, name)) names.insert(known);
      }
    }
    if (names.size() == before && !names.contains(name)) return NoSuchSecret(name, index);
  }
  return names;
}

bool IsConfirmed(const RemoveFlags& flags, const std::set<std::string>& names) {
  if (flags.yes || !HasTerminal()) return true;
  const std::string what =
      names.size() == 1 ? Printable(*names.begin()) : Format("{} secrets", names.size());
  return Confirm(flags.version == 0
                     ? Format("Remove {} and all versions for good?", what)
                     : Format("Remove version {} of {} for good?", flags.version, what));
}

absl::Status Remove(const RemoveFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  // Asked before the lock is taken: nobody waits for a person.
  SECRETFS_ASSIGN_OR_RETURN(const auto snapshot, store.Read());
  SECRETFS_ASSIGN_OR_RETURN(const std::set<std::string> names,
                            NamesToRemove(flags, snapshot->index()));
  if (!IsConfirmed(flags, names)) return absl::CancelledError("nothing was removed");
  return store.Update([&](StoreTransaction& transaction) -> absl::Status {
    for (const std::string& name : names) {
      SECRETFS_RETURN_IF_ERROR(flags.version == 0 ? transaction.Remove(name)
                                                  : transaction.RemoveVersion(name, flags.version));
    }
    return absl::OkStatus();
  });
}

}  // namespace

void AddStoreRemoveCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "rm", "Remove secrets with all their versions; on a terminal asks before");
  auto flags = std::make_shared<RemoveFlags>();
  command->add_option("name", flags->names, "The secrets' names")->type_name("NAME")->required();
  command->add_option("--version", flags->version, "Remove only this version")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("-r,--recursive", flags->recursive, "Remove what is below each name, too");
  command->add_flag("-y,--yes", flags->yes, "Do not ask");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store rm db/password\n"
                 "  secretfs store rm db/password --version 3\n"
                 "  secretfs store rm --recursive --yes old"));
  command->callback([flags, &invocation] {
    invocation.run = [flags] {
      const absl::Status status = Remove(*flags);
      return status.ok() ? kExitOk : Fail(status);
    };
  });
}

}  // namespace secretfs::cli
