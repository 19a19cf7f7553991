// secretfs store rekey: closes a store with another key, or with a fresh one in the same key file.
// The old key stays where it is until --drop-old-keys: other stores and old copies may need it.

#include <cstdio>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "providers/local/default_paths.h"
#include "providers/local/key_file.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::local::KeyKind;
using providers::local::KeySource;
using providers::local::LocalStore;
using providers::local::MasterKey;

struct RekeyFlags {
  StoreOptions store;
  KeyOptions new_key;
  bool drop_old_keys = false;
  bool yes = false;
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

// Other stores that can be seen from here: beside the store, beside its key, and the default one.
std::vector<std::string> StoresAround(const LocalStore& store, const std::string& key_file) {
  using providers::local::FolderOf;
  using providers::local::ResolveLinks;
  return providers::local::StoreFilesIn(
      {FolderOf(store.path()), FolderOf(ResolveLinks(key_file)),
       FolderOf(ResolveLinks(providers::local::DefaultStorePath()))},
      store.path());
}

// Says which other stores `key_file` opens: they keep their keys, and their owner may have meant
// them, too.
void WarnOfSharedKeyFile(const LocalStore& store, const std::string& key_file) {
  const auto content = providers::local::ReadSecretFile(
      key_file, providers::local::kMaximumKeyFileBytes, providers::local::Privacy::kOwnerOnly);
  if (!content.ok()) return;
  const auto keys = providers::local::ParseKeys(*content);
  if (!keys.ok()) return;
  for (const std::string& other : StoresAround(store, key_file)) {
    if (!providers::local::OpensStoreFile(*keys, other)) continue;
    fprintf(stderr, "secretfs: %s also opens %s, which keeps its key\n", key_file.c_str(),
            other.c_str());
  }
}

// Closes the store with a fresh key in the file that holds the key now.
absl::StatusOr<std::string> ReplaceInPlace(LocalStore& store, const std::string& key_file) {
  SECRETFS_RETURN_IF_ERROR(store.ReplaceKey(key_file));
  WarnOfSharedKeyFile(store, key_file);
  return Format(
      "a fresh key in {0}; keep a copy of that file. The old key stays in it, for old copies of "
      "the store and for other stores: secretfs store rekey --drop-old-keys takes it out",
      key_file);
}

absl::StatusOr<MasterKey> NewKey(const KeyOptions& options, std::string& description) {
  const bool exists =
      !options.key_file.empty() && providers::local::IdentityOf(options.key_file).ok();
  if (!options.key_file.empty() && !exists) {
    SECRETFS_RETURN_IF_ERROR(providers::local::CreateKeyFile(options.key_file));
  }
  KeySource source(options.ToConfig(), ReadNewPassphrase);
  description = exists ? Format("the first key that {} has held already", options.key_file)
                       : source.Describe();
  return source.ForNewStore();
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
        "with --new-key-file (the same file gets it beside the old one), --new-passphrase or "
        "another --new-… option");
  }
  if (has_key && SameFile(current, new_key.key_file)) return ReplaceInPlace(store, current);
  if (!new_key.any()) new_key.passphrase = true;
  // The old key first: a wrong one must not cost a new passphrase.
  SECRETFS_RETURN_IF_ERROR(store.Read().status());
  std::string description;
  SECRETFS_ASSIGN_OR_RETURN(const MasterKey key, NewKey(new_key, description));
  SECRETFS_RETURN_IF_ERROR(store.Rekey(key));
  if (has_key && !current.empty()) {
    description += Format("; {} stays as it is and opens only old copies of the store", current);
  }
  return description;
}

absl::StatusOr<size_t> DropOldKeys(const RekeyFlags& flags) {
  const std::string key_file = CurrentKeyFile(flags);
  if (key_file.empty()) {
    return absl::InvalidArgumentError("the store is not opened by a key file; name it: --key-file");
  }
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_RETURN_IF_ERROR(store.Read().status());
  SECRETFS_RETURN_IF_ERROR(AskBefore(
      flags.yes, Unasked::kRefuse,
      Format(
          "Take the old keys of {} out of {}? Nothing else may open copies of the store or other "
          "stores that were closed with them.",
          store.path(), key_file),
      "dropped"));
  return store.DropReplacedKeys(key_file, StoresAround(store, key_file));
}

int RunRekey(const RekeyFlags& flags) {
  if (flags.drop_old_keys) {
    if (flags.new_key.any()) {
      return FailUsage("--drop-old-keys stands alone: rekey first, and drop when all is well");
    }
    const absl::StatusOr<size_t> dropped = DropOldKeys(flags);
    if (absl::IsInvalidArgument(dropped.status())) return FailUsage(MessageOf(dropped.status()));
    if (!dropped.ok()) return Fail(dropped.status());
    printf("Dropped %s.\n", Count(*dropped, "old key").c_str());
    return kExitOk;
  }
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
  command->add_flag("--drop-old-keys", flags->drop_old_keys,
                    "Instead: take the keys that earlier rekeys replaced out of the key file");
  command->add_flag("-y,--yes", flags->yes, "Do not ask; needed to drop keys without a terminal");
  command->footer(
      "\nA key file that is there already is never overwritten: the file of the store gets the "
      "fresh key beside the old one, another one is used as it is (its first key).\n" +
      HelpFooter("  secretfs store rekey\n"
                 "  secretfs store rekey --drop-old-keys\n"
                 "  secretfs store rekey --new-passphrase\n"
                 "  secretfs store rekey --passphrase-file old --new-key-file /etc/app/store.key"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunRekey(*flags); }; });
}

}  // namespace secretfs::cli
