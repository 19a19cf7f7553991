// secretfs store list: the names in a store, never a value. Checks every record on the way.

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

struct ListFlags {
  StoreOptions store;
  std::string prefix;
  bool long_form = false;
  bool json = false;
};

using Entry = std::pair<const std::string, SecretEntry>;

void PrintJson(const std::vector<const Entry*>& entries) {
  auto list = nlohmann::ordered_json::array();
  for (const Entry* entry : entries) {
    const auto& versions = entry->second.versions;
    list.push_back({{"name", entry->first},
                    {"version", versions.back().number},
                    {"versions", versions.size()},
                    {"changed", TimeText(versions.back().created())},
                    {"bytes", versions.back().size}});
  }
  printf("%s\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void PrintTable(const std::vector<const Entry*>& entries) {
  TextTable table({"NAME", "VERSION", "KEPT", "CHANGED", "BYTES"});
  for (const Entry* entry : entries) {
    const auto& versions = entry->second.versions;
    table.AddRow({entry->first, Format("{}", versions.back().number), Format("{}", versions.size()),
                  TimeText(versions.back().created()), Format("{}", versions.back().size)});
  }
  printf("%s", table.ToString().c_str());
}

int RunList(const ListFlags& flags) {
  absl::StatusOr<LocalStore> store = OpenStore(flags.store);
  if (!store.ok()) return Fail(store.status());
  const absl::StatusOr<SnapshotPtr> snapshot = store->Read();
  if (!snapshot.ok()) return Fail(snapshot.status());
  std::vector<const Entry*> entries;
  for (const Entry& entry : (*snapshot)->index().secrets) {
    if (IsBelow(entry.first, flags.prefix)) entries.push_back(&entry);
  }
  if (flags.json) {
    PrintJson(entries);
  } else if (flags.long_form) {
    PrintTable(entries);
  } else {
    for (const Entry* entry : entries) printf("%s\n", Printable(entry->first).c_str());
  }
  const auto damaged = (*snapshot)->FindDamage();
  if (!damaged.ok()) return Fail(damaged.status());
  if (const int code = ReportDamage(*damaged, **snapshot); code != kExitOk) return code;
  if (entries.empty() && !flags.prefix.empty()) {
    return Fail(absl::NotFoundError(Format("nothing is below {}", Printable(flags.prefix))));
  }
  return kExitOk;
}

}  // namespace

void AddStoreListCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command =
      store.add_subcommand("list", "Print the secrets' names; checks the whole store for damage");
  auto flags = std::make_shared<ListFlags>();
  command->add_option("prefix", flags->prefix, "Only this name and what is below it")
      ->type_name("PREFIX");
  command->add_flag("-l,--long", flags->long_form, "With versions, times and sizes");
  command->add_flag("--json", flags->json, "Print names, versions, times and sizes as JSON");
  AddStoreOptions(*command, flags->store);
  command->footer(HelpFooter("  secretfs store list\n  secretfs store list db --long"));
  command->callback([flags, &invocation] { invocation.run = [flags] { return RunList(*flags); }; });
}

}  // namespace secretfs::cli
