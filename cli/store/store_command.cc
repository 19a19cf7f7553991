// secretfs store: the parent of the local store's commands.

#include "cli/store/store_commands.h"

namespace secretfs::cli {

void AddStoreCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* store = app.add_subcommand("store", "Work with an encrypted local store");
  store->require_subcommand(1);
  AddStoreInitCommand(*store, invocation);
  AddStorePutCommand(*store, invocation);
  AddStoreGetCommand(*store, invocation);
  AddStoreListCommand(*store, invocation);
  AddStoreRemoveCommand(*store, invocation);
  AddStoreRestoreCommand(*store, invocation);
  AddStorePurgeCommand(*store, invocation);
  AddStoreHistoryCommand(*store, invocation);
  AddStoreRekeyCommand(*store, invocation);
  AddStoreImportCommand(*store, invocation);
  AddStoreExportCommand(*store, invocation);
  store->footer(
      HelpFooter("  secretfs store init\n"
                 "  printf %s \"$PASSWORD\" | secretfs store put db/password\n"
                 "  secretfs store list"));
}

}  // namespace secretfs::cli
