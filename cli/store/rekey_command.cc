// secretfs store rekey: closes a store with another key, or with a fresh one in the same key file.

#include <cstdio>
#include <memory>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "providers/local/default_paths.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::LocalKeySource;
using providers::local::KeyKind;
using providers::local::KeySource;
using providers::local::LocalStore;
using providers::local::MasterKey;

struct RekeyFlags {
  StoreOptions store;
  KeyOptions new_key;
};

// The key file that the store is opened with; empty if it is something else.
std::string CurrentKeyFile(const RekeyFlags& flags) {
  providers::LocalStoreConfig config;
  config.path = StorePathOf(flags.store);
  config.key = flags.store.key.ToConfig();
  if (flags.store.key.passphrase) return "";
  return providers::local::WithDefaults(std::move(config)).key.key_file;
}

bool SameFile(const std::string& one, const std::string& other) {
  return !one.empty() &&
         providers::local::ResolveLinks(one) == providers::local::ResolveLinks(other);
}

// Closes the store with a fresh key in the file that holds the key now.
absl::StatusOr<std::string> ReplaceInPlace(LocalStore& store, const std::string& key_file) {
  SECRETFS_RETURN_IF_ERROR(store.ReplaceKey(key_file));
  return Format(
      "a fresh key in {}; keep a copy of the file, the old key opens only old copies of the "
      "store",
      key_file);
}

absl::StatusOr<std::string> Rekey(const RekeyFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(const auto header,
                            providers::local::StoreSnapshot::ReadHeader(StorePathOf(flags.store)));
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  const std::string current = CurrentKeyFile(flags);
  const bool has_key = header.key.kind == KeyKind::kKey;
  KeyOptions new_key = flags.new_key;
  if (!new_key.any() && has_key) {
    if (SameFile(current, providers::local::DefaultKeyFile(StorePathOf(flags.store)))) {
      return ReplaceInPlace(store, current);
    }
    return absl::InvalidArgumentError(
        "the key is not in STORE.key, so other stores may use it too: say where the new one goes, "
        "with "
        "--new-key-file (the same file replaces its key), --new-passphrase or another --new-… "
        "option");
  }
  if (has_key && SameFile(current, new_key.key_file)) return ReplaceInPlace(store, current);
  if (!new_key.any()) new_key.passphrase = true;
  // The old key first: a wrong one must not cost a new passphrase.
  SECRETFS_RETURN_IF_ERROR(store.Read().status());
  if (!new_key.key_file.empty() && !providers::local::IdentityOf(new_key.key_file).ok()) {
    SECRETFS_RETURN_IF_ERROR(providers::local::CreateKeyFile(new_key.key_file));
  }
  KeySource source(new_key.ToConfig(), ReadNewPassphrase);
  SECRETFS_ASSIGN_OR_RETURN(const MasterKey key, source.ForNewStore());
  SECRETFS_RETURN_IF_ERROR(store.Rekey(key));
  return source.Describe();
}

int RunRekey(const RekeyFlags& flags) {
  const absl::StatusOr<std::string> closed_with = Rekey(flags);
  if (absl::IsInvalidArgument(closed_with.status()))
    return FailUsage(MessageOf(closed_with.status()));
  if (!closed_with.ok()) return Fail(closed_with.status());
  printf("The store is closed with %s.\n", closed_with->c_str());
  return kExitOk;
}

}  // namespace

void AddStoreRekeyCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "rekey", "Close the store with another key; without --new-… options with a fresh one");
  auto flags = std::make_shared<RekeyFlags>();
  AddStoreOptions(*command, flags->store);
  AddKeyOptions(*command, flags->new_key, "new-", "Close with ");
  command->footer(
      HelpFooter("  secretfs store rekey\n"
                 "  secretfs store rekey --new-passphrase\n"
                 "  secretfs store rekey --passphrase-file old --new-key-file /etc/app/store.key"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunRekey(*flags); }; });
}

}  // namespace secretfs::cli
