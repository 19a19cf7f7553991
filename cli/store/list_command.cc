// secretfs store list: the names in a store, never a value. Checks every record on the way.

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
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
using providers::local::RemovedVersion;
using providers::local::SecretEntry;
using providers::local::SnapshotPtr;
using providers::local::StoreIndex;

struct ListFlags {
  StoreOptions store;
  std::string prefix;
  bool has_prefix = false;
  bool long_form = false;
  bool json = false;
  bool removed = false;
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

// What one removal took of one secret.
struct Removal {
  std::string name;
  WallTime time;
  std::vector<uint64_t> versions;
};

std::vector<Removal> RemovalsIn(const StoreIndex& index, std::string_view prefix) {
  const WallTime oldest = StoreClock().WallNow() - providers::local::kRemovedKept;
  std::vector<Removal> removals;
  for (const auto& [name, entry] : index.removed) {
    if (!IsBelow(name, prefix)) continue;
    std::map<WallTime, std::vector<uint64_t>> by_time;
    for (const RemovedVersion& one : entry.versions) {
      // The next write leaves it out.
      if (one.removed() >= oldest) by_time[one.removed()].push_back(one.version.number);
    }
    for (auto& [time, versions] : by_time) removals.push_back({name, time, std::move(versions)});
  }
  return removals;
}

void PrintRemovals(const std::vector<Removal>& removals, bool json) {
  auto list = nlohmann::ordered_json::array();
  TextTable table({"NAME", "VERSIONS", "NEWEST", "REMOVED", "KEPT UNTIL"});
  for (const Removal& one : removals) {
    const std::string removed = TimeText(one.time);
    const std::string until = TimeText(one.time + providers::local::kRemovedKept);
    list.push_back({{"name", one.name},
                    {"versions", one.versions},
                    {"removed", removed},
                    {"keptUntil", until}});
    table.AddRow({one.name, Format("{}", one.versions.size()), Format("{}", one.versions.back()),
                  removed, until});
  }
  const std::string text =
      json ? list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
           : table.ToString();
  printf("%s", text.c_str());
}

int RunList(const ListFlags& flags) {
  if (flags.has_prefix && IsEmptySelector(flags.prefix)) {
    return FailUsage("the PREFIX is empty; none lists everything");
  }
  const std::string& prefix = flags.prefix;
  absl::StatusOr<LocalStore> store = OpenStore(flags.store);
  if (!store.ok()) return Fail(store.status());
  const absl::StatusOr<SnapshotPtr> snapshot = store->Read();
  if (!snapshot.ok()) return Fail(snapshot.status());
  std::vector<const Entry*> entries;
  for (const Entry& entry : (*snapshot)->index().secrets) {
    if (IsBelow(entry.first, prefix)) entries.push_back(&entry);
  }
  const std::vector<Removal> removals = RemovalsIn((*snapshot)->index(), prefix);
  if (flags.removed) {
    PrintRemovals(removals, flags.json);
  } else if (flags.json) {
    PrintJson(entries);
  } else if (flags.long_form) {
    PrintTable(entries);
  } else {
    for (const Entry* entry : entries) printf("%s\n", Printable(entry->first).c_str());
  }
  const auto damaged = (*snapshot)->FindDamage();
  if (!damaged.ok()) return Fail(damaged.status());
  if (const int code = ReportDamage(*damaged, **snapshot); code != kExitOk) return code;
  const bool found = flags.removed ? !removals.empty() : !entries.empty();
  if (!found && !prefix.empty()) {
    return Fail(absl::NotFoundError(Format("nothing is below {}", Printable(prefix))));
  }
  return kExitOk;
}

}  // namespace

void AddStoreListCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command =
      store.add_subcommand("list", "Print the secrets' names; checks the whole store for damage");
  auto flags = std::make_shared<ListFlags>();
  CLI::Option* prefix =
      command->add_option("prefix", flags->prefix, "Only this name and what is below it")
          ->type_name("PREFIX");
  command->add_flag("-l,--long", flags->long_form, "With versions, times and sizes");
  command->add_flag("--json", flags->json, "Print names, versions, times and sizes as JSON");
  command->add_flag("--removed", flags->removed,
                    "What rm took and restore can still bring back, and until when");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store list\n  secretfs store list db --long\n"
                 "  secretfs store list --removed"));
  command->callback([flags, prefix, &invocation] {
    flags->has_prefix = prefix->count() > 0;
    invocation.run = [flags] { return RunList(*flags); };
  });
}

}  // namespace secretfs::cli
