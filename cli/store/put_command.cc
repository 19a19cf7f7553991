// secretfs store put: a new version of one secret, from stdin or a file, never from the command
// line.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/text_table.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::StoreTransaction;

struct PutFlags {
  StoreOptions store;
  std::string name;
  std::string file;
  bool trim_newline = false;
  bool allow_empty = false;
  bool json = false;
  std::vector<std::string> rest;  // other words of the command line: a value there is refused
};

// The words are not printed: one of them is a secret, most likely.
int RefuseRest(const std::vector<std::string>& rest) {
  for (const std::string& word : rest) {
    if (word.starts_with("--") && word != "--" && !word.starts_with("--value")) {
      return FailUsage(Format("unexpected '{}'; 'secretfs store put --help' shows what there is",
                              Printable(word.substr(0, word.find('=')))));
    }
  }
  return FailUsage(
      "a value on the command line is seen by every user of this machine (ps) and stays in the "
      "shell's "
      "history; nothing was stored. Give it in one of these ways, and use a new value, not the one "
      "that "
      "stood there:\n"
      "  printf %s \"$VALUE\" | secretfs store put NAME\n"
      "  secretfs store put NAME --file FILE\n"
      "  secretfs store put NAME              (asks for it, without echo)");
}

absl::StatusOr<SecretBytes> ReadValue(const PutFlags& flags) {
  const size_t limit = providers::local::kMaximumValueBytes;
  absl::StatusOr<SecretBytes> value =
      flags.file.empty() || flags.file == "-"
          ? ReadStandardInput(limit, Format("Value of {} (not shown): ", Printable(flags.name)))
          : providers::local::ReadSecretFile(flags.file, limit, providers::local::Privacy::kAny);
  if (!value.ok()) {
    // A missing file is not a missing secret.
    if (!absl::IsNotFound(value.status())) return value;
    return absl::FailedPreconditionError(value.status().message());
  }
  std::string_view text = value->ExposeAsText();
  if (flags.trim_newline && text.ends_with('\n')) {
    text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
    value = SecretBytes::CopyOf(text);
  }
  if (value->empty() && !flags.allow_empty) {
    return absl::FailedPreconditionError(
        "the value is empty, which is what a failed command leaves in a pipe; nothing was stored "
        "(--allow-empty stores it)");
  }
  return value;
}

struct Stored {
  uint64_t version = 0;
  size_t dropped = 0;  // old versions beyond what the store keeps
};

absl::StatusOr<Stored> Put(const PutFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes value, ReadValue(flags));
  Stored result;
  const absl::Status stored = store.Update([&](StoreTransaction& transaction) -> absl::Status {
    const auto& secrets = transaction.index().secrets;
    const auto before = secrets.find(flags.name);
    const size_t kept = before == secrets.end() ? 0 : before->second.versions.size();
    SECRETFS_RETURN_IF_ERROR(transaction.Put(flags.name, std::move(value)));
    const auto& versions = secrets.find(flags.name)->second.versions;
    result = {versions.back().number, kept + 1 - versions.size()};
    return absl::OkStatus();
  });
  if (!stored.ok()) return stored;
  return result;
}

int RunPut(const PutFlags& flags) {
  if (!flags.rest.empty()) return RefuseRest(flags.rest);
  if (const absl::Status name = providers::local::CheckSecretName(flags.name); !name.ok()) {
    return FailUsage(MessageOf(name));
  }
  const absl::StatusOr<Stored> stored = Put(flags);
  if (!stored.ok()) return Fail(stored.status());
  if (flags.json) {
    const nlohmann::ordered_json json{{"name", flags.name}, {"version", stored->version}};
    printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    const std::string dropped =
        stored->dropped == 0
            ? ""
            : Format(
                  " (the oldest {} dropped: the store keeps so many of each secret)",
                  stored->dropped == 1 ? "version is" : Format("{} versions are", stored->dropped));
    printf("%s: version %llu%s\n", Printable(flags.name).c_str(),
           static_cast<unsigned long long>(stored->version), dropped.c_str());
  }
  return kExitOk;
}

}  // namespace

void AddStorePutCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "put",
      "Store a value as the newest version of a secret; the value comes from stdin or a file");
  auto flags = std::make_shared<PutFlags>();
  command->add_option("name", flags->name, "The secret's name: parts with '/' between them")
      ->type_name("NAME")
      ->required();
  // Taken so that they can be refused with the right command, and without printing them.
  command->allow_extras();
  command->add_option("--file", flags->file, "Take the value from this file instead of stdin")
      ->type_name("FILE");
  command->add_flag("--trim-newline", flags->trim_newline, "Leave out one line end at the end");
  command->add_flag("--allow-empty", flags->allow_empty, "Store an empty value");
  command->add_flag("--json", flags->json, "Print the new version as JSON");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  printf %s \"$PASSWORD\" | secretfs store put db/password\n"
                 "  secretfs store put tls/server.key --file server.key\n"
                 "  secretfs store put db/password       # asks, without echo"));
  command->callback([flags, command, &invocation] {
    flags->rest = command->remaining();
    invocation.run = [flags] { return RunPut(*flags); };
  });
}

}  // namespace secretfs::cli
