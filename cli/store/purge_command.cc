// secretfs store purge: destroys what store rm has kept, by name, by age or all, in one
// transaction.

#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/text_table.h"
#include "k8s/manifest/scalars.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::SnapshotPtr;
using providers::local::StoreIndex;
using providers::local::StoreTransaction;

struct PurgeFlags {
  StoreOptions store;
  std::vector<std::string> names;
  std::string older_than;
  bool all = false;
  bool recursive = false;
  bool yes = false;
};

std::string PurgeQuestion(const PurgeFlags& flags, const std::set<std::string>& names) {
  if (flags.all) return "Destroy for good everything that was removed?";
  if (!flags.older_than.empty()) {
    return Format("Destroy for good what was removed more than {} ago?", flags.older_than);
  }
  return names.size() == 1
             ? Format("Destroy for good what was removed of {}?", Printable(*names.begin()))
             : Format("Destroy for good what was removed of {}?", Count(names.size(), "secret"));
}

absl::StatusOr<size_t> Purge(const PurgeFlags& flags) {
  const std::optional<Duration> age =
      flags.older_than.empty() ? Duration::zero() : k8s::ParseDuration(flags.older_than);
  if (!age.has_value()) {
    return absl::InvalidArgumentError(
        Format("--older-than '{}' is not a duration; expected 7d, 12h …", flags.older_than));
  }
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr snapshot, store.Read());
  const StoreIndex& index = snapshot->index();
  SECRETFS_ASSIGN_OR_RETURN(
      const std::set<std::string> names,
      MatchNames(flags.names, flags.recursive, index.removed,
                 [&index](std::string_view name) { return NoSuchRemoved(name, index); }));
  SECRETFS_RETURN_IF_ERROR(
      AskBefore(flags.yes, Unasked::kRefuse, PurgeQuestion(flags, names), "destroyed"));
  size_t count = 0;
  const absl::Status purged = store.Update([&](StoreTransaction& transaction) -> absl::Status {
    if (names.empty()) {
      count = flags.all ? transaction.PurgeRemovedBefore(WallTime::max())
                        : transaction.PurgeRemovedBefore(StoreClock().WallNow() - *age);
      return absl::OkStatus();
    }
    for (const std::string& name : names) {
      SECRETFS_ASSIGN_OR_RETURN(const size_t versions, transaction.Purge(name));
      count += versions;
    }
    return absl::OkStatus();
  });
  if (!purged.ok()) return purged;
  return count;
}

int RunPurge(const PurgeFlags& flags) {
  const int ways =
      (flags.names.empty() ? 0 : 1) + (flags.older_than.empty() ? 0 : 1) + (flags.all ? 1 : 0);
  if (ways != 1) return FailUsage("say what to destroy: NAME…, --older-than DURATION or --all");
  const absl::StatusOr<size_t> count = Purge(flags);
  if (absl::IsInvalidArgument(count.status())) return FailUsage(MessageOf(count.status()));
  if (!count.ok()) return Fail(count.status());
  printf("Destroyed %s.\n", Count(*count, "version").c_str());
  return kExitOk;
}

}  // namespace

void AddStorePurgeCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "purge", "Destroy for good what rm has removed and kept: by name, by age or all");
  auto flags = std::make_shared<PurgeFlags>();
  command->add_option("name", flags->names, "The names, as list --removed shows them")
      ->type_name("NAME");
  command->add_option("--older-than", flags->older_than, "What was removed longer ago than this")
      ->type_name("DURATION");
  command->add_flag("--all", flags->all, "Everything that was removed");
  command->add_flag("-r,--recursive", flags->recursive, "What is below each name, too");
  command->add_flag("-y,--yes", flags->yes, "Do not ask; needed without a terminal");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store purge db/password\n"
                 "  secretfs store purge --older-than 7d --yes"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunPurge(*flags); }; });
}

}  // namespace secretfs::cli
