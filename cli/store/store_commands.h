#pragma once

// `secretfs store …`: the commands of the encrypted local store, one file each. AddStoreCommand
// (cli/command.h) adds them all. Each declares its options and stores the work in the Invocation.
// Not thread-safe; main thread.

#include "cli/command.h"

namespace secretfs::cli {

void AddStoreInitCommand(CLI::App& store, Invocation& invocation);
void AddStorePutCommand(CLI::App& store, Invocation& invocation);
void AddStoreGetCommand(CLI::App& store, Invocation& invocation);
void AddStoreListCommand(CLI::App& store, Invocation& invocation);
void AddStoreRemoveCommand(CLI::App& store, Invocation& invocation);
void AddStoreRestoreCommand(CLI::App& store, Invocation& invocation);
void AddStorePurgeCommand(CLI::App& store, Invocation& invocation);
void AddStoreHistoryCommand(CLI::App& store, Invocation& invocation);
void AddStoreRekeyCommand(CLI::App& store, Invocation& invocation);
void AddStoreImportCommand(CLI::App& store, Invocation& invocation);
void AddStoreExportCommand(CLI::App& store, Invocation& invocation);

}  // namespace secretfs::cli
