// secretfs store init: a new, empty store, with a key file unless another key is named.

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/process_setup.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "providers/local/default_paths.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::LocalStoreConfig;
using providers::local::KeyKind;
using providers::local::KeySource;
using providers::local::LocalStore;
using providers::local::MasterKey;

struct InitFlags {
  StoreOptions store;
  uint32_t versions = 10;
  bool json = false;
};

struct Made {
  std::string store;
  std::string key_file;  // empty: closed with something else
  bool key_file_is_new = false;
  std::string closed_with;
};

// Folders of a store are made private; those that exist stay as they are.
absl::Status MakeFolders(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return absl::OkStatus();
  const std::string parent = providers::local::FolderOf(folder);
  if (parent != folder) SECRETFS_RETURN_IF_ERROR(MakeFolders(parent));
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return providers::local::SystemError("make the folder", folder, errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<Made> Init(const InitFlags& flags) {
  SECRETFS_RETURN_IF_ERROR(SetUpProcess(LogFlags()));
  LocalStoreConfig config;
  config.path = StorePathOf(flags.store);
  config.key = flags.store.key.ToConfig();
  if (!flags.store.key.passphrase) config = providers::local::WithDefaults(std::move(config));
  if (providers::local::IdentityOf(config.path).ok()) {
    return absl::AlreadyExistsError(Format("there is a file at {} already", config.path));
  }
  SECRETFS_RETURN_IF_ERROR(MakeFolders(providers::local::FolderOf(config.path)));
  Made made{.store = config.path, .key_file = config.key.key_file, .closed_with = {}};
  if (!made.key_file.empty() && !providers::local::IdentityOf(made.key_file).ok()) {
    SECRETFS_RETURN_IF_ERROR(MakeFolders(providers::local::FolderOf(made.key_file)));
    SECRETFS_RETURN_IF_ERROR(providers::local::CreateKeyFile(made.key_file));
    made.key_file_is_new = true;
  }
  KeySource source(config.key, ReadNewPassphrase);
  made.closed_with = source.Describe();
  SECRETFS_ASSIGN_OR_RETURN(const MasterKey key, source.ForNewStore());
  SECRETFS_RETURN_IF_ERROR(LocalStore::Create(config.path, key, flags.versions));
  return made;
}

int RunInit(const InitFlags& flags) {
  const absl::StatusOr<Made> made = Init(flags);
  if (!made.ok()) return Fail(made.status());
  if (flags.json) {
    nlohmann::ordered_json json{{"store", made->store}, {"closedWith", made->closed_with}};
    if (!made->key_file.empty()) json["keyFile"] = made->key_file;
    printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  printf("Made the store %s, closed with %s.\n", made->store.c_str(), made->closed_with.c_str());
  if (made->key_file_is_new) {
    printf("The key file is new: keep a copy elsewhere, nothing opens the store without it.\n");
  } else if (!made->key_file.empty()) {
    printf("The key file was there already and stays as it is.\n");
  }
  return kExitOk;
}

}  // namespace

void AddStoreInitCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand("init", "Make an empty store, and a key file for it");
  auto flags = std::make_shared<InitFlags>();
  AddStoreOptions(*command, flags->store);
  command->add_option("--versions", flags->versions, "How many versions of each secret to keep")
      ->capture_default_str()
      ->check(CLI::Range(1u, providers::local::kMaximumVersionsLimit))
      ->type_name("N");
  command->add_flag("--json", flags->json, "Print what was made as JSON");
  command->footer(HelpFooter(
      "  secretfs store init\n"
      "  secretfs store init --store team.sfs --passphrase\n"
      "  secretfs store init --store /var/lib/app/store.sfs --key-file /etc/app/store.key"));
  command->callback([flags, &invocation] { invocation.run = [flags] { return RunInit(*flags); }; });
}

}  // namespace secretfs::cli
