// secretfs store history: the kept versions of one secret, never a value.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::SecretEntry;
using providers::local::SnapshotPtr;
using providers::local::VersionEntry;

struct HistoryFlags {
  StoreOptions store;
  std::string name;
  bool json = false;
};

absl::Status History(const HistoryFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr snapshot, store.Read());
  const SecretEntry* entry = snapshot->Find(flags.name);
  if (entry == nullptr) return NoSuchSecret(flags.name, snapshot->index());
  std::vector<VersionEntry> newest_first(entry->versions.rbegin(), entry->versions.rend());
  if (flags.json) {
    auto list = nlohmann::ordered_json::array();
    for (const VersionEntry& version : newest_first) {
      list.push_back({{"version", version.number},
                      {"created", TimeText(version.created())},
                      {"bytes", version.size}});
    }
    printf("%s\n", list.dump(2).c_str());
    return absl::OkStatus();
  }
  TextTable table({"VERSION", "CREATED", "BYTES"});
  for (const VersionEntry& version : newest_first) {
    table.AddRow(
        {Format("{}", version.number), TimeText(version.created()), Format("{}", version.size)});
  }
  printf("%s", table.ToString().c_str());
  return absl::OkStatus();
}

}  // namespace

void AddStoreHistoryCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command =
      store.add_subcommand("history", "Print a secret's versions and their times, newest first");
  auto flags = std::make_shared<HistoryFlags>();
  command->add_option("name", flags->name, "The secret's name")->type_name("NAME")->required();
  command->add_flag("--json", flags->json, "Print as JSON");
  AddStoreOptions(*command, flags->store);
  command->footer(HelpFooter("  secretfs store history db/password"));
  command->callback([flags, &invocation] {
    invocation.run = [flags] {
      const absl::Status status = History(*flags);
      return status.ok() ? kExitOk : Fail(status);
    };
  });
}

}  // namespace secretfs::cli
