#pragma once

// What all `secretfs store` commands share: which store, what opens it, how values come in and go
// out. Not thread-safe; main thread.

#include <CLI/App.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/text_table.h"
#include "providers/local/local_store.h"
#include "providers/store_config.h"

namespace secretfs::cli {

// At most one is given.
struct KeyOptions {
  std::string key_file;
  bool passphrase = false;  // ask for it
  std::string passphrase_file;
  std::string passphrase_variable;
  std::string systemd_credential;

  bool any() const;
  providers::LocalKeySource ToConfig() const;
};

struct StoreOptions {
  std::string path;
  KeyOptions key;
};

// --store and the options of the key that opens the store.
void AddStoreOptions(CLI::App& command, StoreOptions& options);
// The options of one key, each with `prefix` in its name: "" or "new-".
void AddKeyOptions(CLI::App& command, KeyOptions& options, const std::string& prefix,
                   const std::string& purpose);

// Whether `prefix` names nothing, as an unset variable of a script does. It must not be taken for
// everything.
bool IsEmptySelector(std::string_view prefix);

// `name` is `prefix` or below it; everything is below "".
bool IsBelow(std::string_view name, std::string_view prefix);

// --store, else the default path.
std::string StorePathOf(const StoreOptions& options);

// The store that `options` name, hardening this process first. A store that is closed with a
// passphrase asks for it when no source was given and there is a terminal.
absl::StatusOr<providers::local::LocalStore> OpenStore(const StoreOptions& options);

// "there is no secret X", with what looks like it, or how to bring it back if it was removed.
absl::Status NoSuchSecret(std::string_view name, const providers::local::StoreIndex& index);
// "nothing that was removed is called X", with what looks like it.
absl::Status NoSuchRemoved(std::string_view name, const providers::local::StoreIndex& index);

// The names of a map of secrets that `names` mean: themselves and, with `recursive`, what is below
// them. InvalidArgument for what can be no name, "" and "/" among them; `no_such` says what a name
// is that stands for nothing.
template <typename Map>
absl::StatusOr<std::set<std::string>> MatchNames(
    const std::vector<std::string>& names, bool recursive, const Map& known,
    const std::function<absl::Status(std::string_view)>& no_such) {
  std::set<std::string> matched;
  for (const std::string& name : names) {
    if (const absl::Status valid = providers::local::CheckSecretName(name); !valid.ok()) {
      return absl::InvalidArgumentError(Format("'{}': {}", Printable(name), MessageOf(valid)));
    }
    bool found = false;
    for (auto it = known.lower_bound(name); it != known.end(); ++it) {
      if (!it->first.starts_with(name)) break;
      if (it->first != name && !(recursive && IsBelow(it->first, name))) continue;
      matched.insert(it->first);
      found = true;
    }
    if (!found) return no_such(name);
  }
  return matched;
}

// What may happen where nobody can be asked and --yes was not given.
enum class Unasked { kGoOn, kRefuse };
// OK when it may be done: with `yes`, or when a person says so. Cancelled when not, InvalidArgument
// where nobody can be asked. `what`: "removed", for the message.
absl::Status AskBefore(bool yes, Unasked unasked, std::string_view question, std::string_view what);

// All of stdin, at most `limit` bytes. Asks on the terminal, without echo, where stdin is one.
absl::StatusOr<SecretBytes> ReadStandardInput(size_t limit, std::string_view prompt);
// `bytes` to stdout, unchanged.
absl::Status WriteStandardOutput(std::string_view bytes);
// For values only: a terminal keeps what it showed. Fails as wrong usage unless `force`.
bool StandardOutputMayHoldValues(bool force);

// The only clock of these commands.
const Clock& StoreClock();

// "1 secret", "3 secrets".
std::string Count(size_t count, std::string_view thing);

// 2026-11-24T15:04:05Z
std::string TimeText(WallTime time);

// Prints each damaged record on stderr; the exit code for a store with `damaged` records.
int ReportDamage(const std::vector<providers::local::DamagedRecord>& damaged,
                 const providers::local::StoreSnapshot& snapshot);

}  // namespace secretfs::cli
