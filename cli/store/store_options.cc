#include "cli/store/store_options.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "cli/process_setup.h"
#include "cli/store/terminal.h"
#include "cli/text_table.h"
#include "k8s/manifest/near_miss.h"
#include "providers/local/default_paths.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

using providers::LocalKeySource;
using providers::LocalStoreConfig;
using providers::local::KeyKind;
using providers::local::KeySource;
using providers::local::LocalStore;
using providers::local::StoreHeader;
using providers::local::StoreSnapshot;

absl::StatusOr<SecretBytes> AskForPassphrase() {
  absl::StatusOr<SecretBytes> passphrase = ReadHidden("Passphrase: ");
  if (passphrase.ok() || !absl::IsFailedPrecondition(passphrase.status())) return passphrase;
  return absl::UnauthenticatedError(
      Format("the store is closed with a passphrase, and {}: give --passphrase-file FILE or "
             "--passphrase-env NAME",
             MessageOf(passphrase.status())));
}

}  // namespace

bool KeyOptions::any() const {
  return passphrase || !key_file.empty() || !passphrase_file.empty() ||
         !passphrase_variable.empty() || !systemd_credential.empty();
}

LocalKeySource KeyOptions::ToConfig() const {
  LocalKeySource config;
  config.key_file = key_file;
  config.passphrase.file = passphrase_file;
  config.passphrase.environment = passphrase_variable;
  config.systemd_credential = systemd_credential;
  return config;
}

void AddKeyOptions(CLI::App& command, KeyOptions& options, const std::string& prefix,
                   const std::string& purpose) {
  std::vector<CLI::Option*> sources;
  const auto add = [&](const std::string& name, std::string& target, const std::string& help,
                       const char* type) {
    sources.push_back(command.add_option("--" + prefix + name, target, purpose + help)
                          ->option_text(type)
                          ->group("Key"));
  };
  add("key-file", options.key_file, "the key file PATH (default: STORE.key)", "PATH");
  add("passphrase-file", options.passphrase_file, "the passphrase in file PATH", "PATH");
  add("passphrase-env", options.passphrase_variable,
      "the passphrase in environment variable NAME; other programs of the same user can see it",
      "NAME");
  add("systemd-credential", options.systemd_credential, "the key in systemd credential NAME",
      "NAME");
  sources.push_back(command
                        .add_flag("--" + prefix + "passphrase", options.passphrase,
                                  purpose + "a passphrase, asked for")
                        ->option_text(" ")
                        ->group("Key"));
  for (CLI::Option* one : sources) {
    for (CLI::Option* other : sources) {
      if (one != other) one->excludes(other);
    }
  }
}

void AddStoreOptions(CLI::App& command, StoreOptions& options) {
  command
      .add_option("--store", options.path,
                  "The store's file (default: $SECRETFS_STORE, else secretfs/store.sfs in "
                  "$XDG_DATA_HOME or ~/.local/share)")
      ->type_name("PATH");
  AddKeyOptions(command, options.key, "", "Open with ");
}

std::string StorePathOf(const StoreOptions& options) {
  return options.path.empty() ? providers::local::DefaultStorePath() : options.path;
}

absl::StatusOr<LocalStore> OpenStore(const StoreOptions& options) {
  SECRETFS_RETURN_IF_ERROR(SetUpProcess(LogFlags()));
  LocalStoreConfig config;
  config.path = StorePathOf(options);
  config.key = options.key.ToConfig();
  SECRETFS_ASSIGN_OR_RETURN(const StoreHeader header, StoreSnapshot::ReadHeader(config.path));
  if (!options.key.passphrase) {
    const bool named = options.key.any();
    config = providers::local::WithDefaults(std::move(config));
    // The default key file stands for "nothing was named" only where a key is wanted.
    if (!named && header.key.kind == KeyKind::kPassphrase &&
        config.key.key_file == providers::local::DefaultKeyFile(config.path)) {
      config.key.key_file.clear();
    }
  }
  return LocalStore(config.path, KeySource(config.key, AskForPassphrase), StoreClock());
}

absl::Status NoSuchSecret(std::string_view name, const providers::local::StoreIndex& index) {
  if (index.removed.contains(name)) {
    return absl::NotFoundError(
        Format("{0} was removed; secretfs store restore {0} brings it back", Printable(name)));
  }
  std::vector<std::string_view> names;
  names.reserve(index.secrets.size());
  for (const auto& [known, entry] : index.secrets) names.push_back(known);
  return absl::NotFoundError(Format("there is no secret {}{}", Printable(name),
                                    Printable(k8s::DidYouMean(std::string(name), names))));
}

absl::Status NoSuchRemoved(std::string_view name, const providers::local::StoreIndex& index) {
  std::vector<std::string_view> names;
  names.reserve(index.removed.size());
  for (const auto& [known, entry] : index.removed) names.push_back(known);
  return absl::NotFoundError(Format("nothing that was removed is called {}{}", Printable(name),
                                    Printable(k8s::DidYouMean(std::string(name), names))));
}

absl::Status AskBefore(bool yes, Unasked unasked, std::string_view question,
                       std::string_view what) {
  if (yes) return absl::OkStatus();
  const absl::StatusOr<bool> answer = Confirm(question);
  if (answer.ok()) {
    return *answer ? absl::OkStatus() : absl::CancelledError(Format("nothing was {}", what));
  }
  if (unasked == Unasked::kGoOn) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Format("nothing was {}: {} ({}); --yes says so without being asked", what, question,
             MessageOf(answer.status())));
}

const Clock& StoreClock() {
  static const SystemClock clock;
  return clock;
}

std::string Count(size_t count, std::string_view thing) {
  return Format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

bool IsEmptySelector(std::string_view prefix) {
  return prefix.find_first_not_of('/') == std::string_view::npos;
}

bool IsBelow(std::string_view name, std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return prefix.empty() || name == prefix ||
         (name.starts_with(prefix) && name[prefix.size()] == '/');
}

absl::StatusOr<SecretBytes> ReadStandardInput(size_t limit, std::string_view prompt) {
  if (isatty(STDIN_FILENO) != 0) return ReadHidden(prompt, Lines::kSeveral, limit);
  SecretBuilder content(limit);
  SecretBytes piece(64 << 10);
  for (;;) {
    const std::span<std::byte> room = piece.mutable_bytes();
    const ssize_t count = read(STDIN_FILENO, room.data(), room.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return providers::local::SystemError("read", "stdin", errno);
    if (count == 0) return content.Finish();
    const absl::Status fits = content.Append(room.first(static_cast<size_t>(count)));
    if (!fits.ok()) return WithContext(fits, "stdin");
  }
}

absl::Status WriteStandardOutput(std::string_view bytes) {
  // What was printed before goes first.
  fflush(stdout);
  const auto data = std::as_bytes(std::span(bytes.data(), bytes.size()));
  const absl::Status written = providers::local::WriteFully(STDOUT_FILENO, data);
  if (written.ok()) return written;
  return absl::UnavailableError("cannot write to stdout");
}

bool StandardOutputMayHoldValues(bool force) { return force || isatty(STDOUT_FILENO) == 0; }

std::string TimeText(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return Format("{:%Y-%m-%dT%H:%M:%SZ}",
                fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)));
}

int ReportDamage(const std::vector<providers::local::DamagedRecord>& damaged,
                 const providers::local::StoreSnapshot& snapshot) {
  for (const providers::local::DamagedRecord& record : damaged) {
    const std::string name = Printable(record.name);
    const std::string command = record.removed ? Format("purge {}", name)
                                               : Format("rm {} --version {}", name, record.version);
    fprintf(stderr,
            "secretfs: record %u of %u is damaged: %s, version %llu (put a backup of the store "
            "back, or remove it: secretfs store %s)\n",
            record.record + 1, snapshot.header().record_count, name.c_str(),
            static_cast<unsigned long long>(record.version), command.c_str());
  }
  return damaged.empty() ? kExitOk : kExitCorrupted;
}

}  // namespace secretfs::cli
