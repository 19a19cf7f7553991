// secretfs store export: all newest values, as files that only their owner can read, or as JSON.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "cli/exit_codes.h"
#include "cli/store/store_commands.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "cli/store/value_json.h"
#include "cli/text_table.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::local::LocalStore;
using providers::local::SnapshotPtr;
using providers::local::StoreSnapshot;

struct ExportFlags {
  StoreOptions store;
  std::string folder;
  std::string prefix;
  bool has_prefix = false;
  bool json = false;
  bool force = false;
};

// Everything is decrypted before the first byte goes out: a damaged store exports nothing.
absl::StatusOr<std::vector<NamedValue>> ReadValues(const StoreSnapshot& snapshot,
                                                   const std::string& prefix) {
  std::vector<NamedValue> values;
  for (const auto& [name, entry] : snapshot.index().secrets) {
    if (!IsBelow(name, prefix)) continue;
    SECRETFS_ASSIGN_OR_RETURN(SecretBytes value, snapshot.ReadValue(name, entry.versions.back()));
    values.push_back({name, std::move(value)});
  }
  if (values.empty() && !prefix.empty()) {
    return absl::NotFoundError(Format("nothing is below {}", Printable(prefix)));
  }
  return values;
}

// A folder cannot hold a file and a folder of one name.
absl::Status CheckForClashes(const std::vector<NamedValue>& values) {
  std::set<std::string_view> names;
  for (const NamedValue& one : values) names.insert(one.name);
  for (const NamedValue& one : values) {
    for (size_t slash = one.name.find('/'); slash != std::string::npos;
         slash = one.name.find('/', slash + 1)) {
      const std::string_view parent = std::string_view(one.name).substr(0, slash);
      if (names.contains(parent)) {
        return absl::FailedPreconditionError(
            Format("{} is a secret and has {} below it, so it cannot be both file and folder: use "
                   "--json",
                   Printable(parent), Printable(one.name)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status MakeOneFolder(const std::string& folder) {
  if (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return providers::local::SystemError("make the folder", folder, errno);
}

absl::Status WriteValue(const std::string& folder, const NamedValue& one) {
  for (size_t slash = one.name.find('/'); slash != std::string::npos;
       slash = one.name.find('/', slash + 1)) {
    SECRETFS_RETURN_IF_ERROR(MakeOneFolder(Format("{}/{}", folder, one.name.substr(0, slash))));
  }
  const std::string path = Format("{}/{}", folder, one.name);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return providers::local::SystemError("make", path, errno);
  return providers::local::WriteFully(fd.get(), one.value.bytes());
}

absl::Status ExportToFolder(const std::string& folder, const std::vector<NamedValue>& values) {
  SECRETFS_RETURN_IF_ERROR(CheckForClashes(values));
  std::error_code error;
  if (std::filesystem::exists(folder, error) && !std::filesystem::is_empty(folder, error)) {
    return absl::AlreadyExistsError(
        Format("{} exists and is not an empty folder; nothing was written", folder));
  }
  SECRETFS_RETURN_IF_ERROR(MakeOneFolder(folder));
  Progress progress("writing file", values.size());
  for (const NamedValue& one : values) {
    if (const absl::Status written = WriteValue(folder, one); !written.ok()) {
      return WithContext(written, Format("the export is not complete, remove {}", folder));
    }
    progress.Step();
  }
  return absl::OkStatus();
}

absl::Status Export(const ExportFlags& flags) {
  SECRETFS_ASSIGN_OR_RETURN(LocalStore store, OpenStore(flags.store));
  SECRETFS_ASSIGN_OR_RETURN(const SnapshotPtr snapshot, store.Read());
  SECRETFS_ASSIGN_OR_RETURN(const std::vector<NamedValue> values,
                            ReadValues(*snapshot, flags.prefix));
  if (!flags.json) return ExportToFolder(flags.folder, values);
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes json, ValuesToJson(values));
  return WriteStandardOutput(json.ExposeAsText());
}

int RunExport(const ExportFlags& flags) {
  if (flags.json != flags.folder.empty()) {
    return FailUsage(
        "say where to: a FOLDER that does not exist or is empty, or --json for stdout");
  }
  if (flags.has_prefix && IsEmptySelector(flags.prefix)) {
    return FailUsage("--prefix is empty; without it everything is exported");
  }
  if (flags.json && !StandardOutputMayHoldValues(flags.force)) {
    return FailUsage(
        "stdout is a terminal, where the values would stay readable; use a pipe or --force");
  }
  const absl::Status status = Export(flags);
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace

void AddStoreExportCommand(CLI::App& store, Invocation& invocation) {
  CLI::App* command = store.add_subcommand(
      "export", "Write all newest values in the clear: files with mode 0600, or JSON on stdout");
  auto flags = std::make_shared<ExportFlags>();
  command->add_option("folder", flags->folder, "A folder that does not exist or is empty")
      ->type_name("FOLDER");
  command->add_flag("--json", flags->json, "One JSON object on stdout, as import reads it");
  CLI::Option* prefix =
      command->add_option("--prefix", flags->prefix, "Only this name and what is below it")
          ->type_name("PREFIX");
  command->add_flag("--force", flags->force, "Print to a terminal all the same");
  AddStoreOptions(*command, flags->store);
  command->footer(
      HelpFooter("  secretfs store export --json | secretfs store import --store copy.sfs -\n"
                 "  secretfs store export --prefix db /run/user/1000/db"));
  command->callback([flags, prefix, &invocation] {
    flags->has_prefix = prefix->count() > 0;
    invocation.run = [flags] { return RunExport(*flags); };
  });
}

}  // namespace secretfs::cli
