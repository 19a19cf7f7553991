// secretfs store import: many secrets at once, all or none.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/import_source.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::StoreTransaction;

struct ImportFlags {
  StoreOptions store;
  std::string source;
  std::string format;
  std::string prefix;
  bool json = false;
};

struct ImportResult {
  size_t added = 0;
  size_t changed = 0;
  size_t unchanged = 0;
};

// Values that are there already do not become a new version, so an import can be repeated.
absl::Status ImportOne(StoreTransaction& transaction, NamedValue& one, ImportResult& result) {
  const auto it = transaction.index().secrets.find(one.name);
  if (it == transaction.index().secrets.end()) {
    ++result.added;
  } else {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes now,
                              transaction.Value(one.name, it->second.versions.back()));
    if (now.ConstantTimeEquals(one.value)) {
      ++result.unchanged;
      return absl::OkStatus();
    }
    ++result.changed;
  }
  return transaction.Put(one.name, std::move(one.value));
}

absl::StatusOr<ImportResult> Import(const ImportFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(
      std::vector<NamedValue> values,
      ReadImportSource(flags.source, ImportFormatNamed(flags.format), flags.prefix));
  ImportResult result;
  const absl::Status stored = store.Update([&](StoreTransaction& transaction) -> absl::Status {
    Progress progress("importing", values.size());
    for (NamedValue& one : values) {
      SECRETFS_RETURN_IF_ERROR(ImportOne(transaction, one, result));
      progress.Step();
    }
    return absl::OkStatus();
  });
  if (!stored.ok()) return stored;
  return result;
}

int RunImport(const ImportFlags& flags) {
  const absl::StatusOr<ImportResult> result = Import(flags);
  if (!result.ok()) return Fail(WithContext(result.status(), "nothing was imported"));
  if (flags.json) {
    const nlohmann::ordered_json json{
        {"added", result->added}, {"changed", result->changed}, {"unchanged", result->unchanged}};
    printf("%s\n", json.dump(2).c_str());
  } else {
    printf("Imported: %zu new, %zu changed, %zu unchanged.\n", result->added, result->changed,
           result->unchanged);
  }
  return kExitOk;
}

}  // namespace

void AddStoreImportCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "import", "Store many values in one go, all or none: from JSON, a .env file or a folder");
  auto flags = std::make_shared<ImportFlags>();
  command
      ->add_option("source", flags->source,
                   "A JSON object of strings, a .env file, a folder (each file a secret), or - for "
                   "stdin")
      ->type_name("SOURCE")
      ->required();
  command->add_option("--format", flags->format, "json, dotenv or folder (default: found out)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"json", "dotenv", "folder"}));
  command->add_option("--prefix", flags->prefix, "Put PREFIX/ in front of each name")
      ->type_name("PREFIX");
  command->add_flag("--json", flags->json, "Print the counts as JSON");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store import secrets.json\n"
                 "  secretfs store import .env --prefix app\n"
                 "  vault kv get -format=json -field=data secret/app | secretfs store import -"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunImport(*flags); }; });
}

}  // namespace secretfs::cli
