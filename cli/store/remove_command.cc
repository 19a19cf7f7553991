// secretfs store rm: secrets with all their versions, or one version, in one transaction. They are
// kept for a while, and store restore brings them back.

#include <chrono>
#include <cstdio>
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

struct RemoveFlags {
  StoreOptions store;
  std::vector<std::string> names;
  uint64_t version = 0;  // 0: all
  bool recursive = false;
  bool yes = false;
};

std::string RemovalQuestion(const RemoveFlags& flags, const std::set<std::string>& names) {
  const std::string what =
      names.size() == 1 ? Printable(*names.begin()) : Count(names.size(), "secret");
  return flags.version == 0 ? Format("Remove {} and all versions?", what)
                            : Format("Remove version {} of {}?", flags.version, what);
}

absl::StatusOr<std::set<std::string>> Remove(const RemoveFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  // Asked before the lock is taken: nobody waits for a person.
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr snapshot, store.Read());
  const auto& index = snapshot->index();
  SECRETFS_ASSIGN_OR_RETURN(
      std::set<std::string> names,
      MatchNames(flags.names, flags.recursive, index.secrets,
                 [&index](std::string_view name) { return NoSuchSecret(name, index); }));
  SECRETFS_RETURN_IF_ERROR(AskBefore(flags.yes,
                                     names.size() == 1 ? Unasked::kGoOn : Unasked::kRefuse,
                                     RemovalQuestion(flags, names), "removed"));
  const absl::Status removed = store.Update([&](StoreTransaction& transaction) -> absl::Status {
    for (const std::string& name : names) {
      SECRETFS_RETURN_IF_ERROR(flags.version == 0 ? transaction.Remove(name)
                                                  : transaction.RemoveVersion(name, flags.version));
    }
    return absl::OkStatus();
  });
  if (!removed.ok()) return removed;
  return names;
}

int RunRemove(const RemoveFlags& flags) {
  const absl::StatusOr<std::set<std::string>> names = Remove(flags);
  if (absl::IsInvalidArgument(names.status())) return FailUsage(MessageOf(names.status()));
  if (!names.ok()) return Fail(names.status());
  for (const std::string& name : *names) {
    const std::string version = flags.version == 0 ? "" : Format(", version {}", flags.version);
    printf("removed: %s%s\n", Printable(name).c_str(), version.c_str());
  }
  printf("Until %s, secretfs store restore brings back what was removed.\n",
         TimeText(StoreClock().WallNow() + providers::local::kRemovedKept).c_str());
  return kExitOk;
}

}  // namespace

void AddStoreRemoveCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "rm", "Remove secrets with all their versions; for 30 days restore brings them back");
  auto flags = std::make_shared<RemoveFlags>();
  command->add_option("name", flags->names, "The secrets' names")->type_name("NAME")->required();
  command->add_option("--version", flags->version, "Remove only this version")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("-r,--recursive", flags->recursive, "Remove what is below each name, too");
  command->add_flag("-y,--yes", flags->yes,
                    "Do not ask; needed for more than one secret without a terminal");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store rm db/password\n"
                 "  secretfs store rm db/password --version 3\n"
                 "  secretfs store rm --recursive --yes old"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunRemove(*flags); }; });
}

}  // namespace secretfs::cli
