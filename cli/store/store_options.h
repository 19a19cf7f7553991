#pragma once

// What all `secretfs store` commands share: which store, what opens it, how values come in and go
// out. Not thread-safe; main thread.

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
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

// --store, else the default path.
std::string StorePathOf(const StoreOptions& options);

// The store that `options` name, hardening this process first. A store that is closed with a
// passphrase asks for it when no source was given and there is a terminal.
absl::StatusOr<providers::local::LocalStore> OpenStore(const StoreOptions& options);

// "there is no secret X", with what looks like it.
absl::Status NoSuchSecret(std::string_view name, const providers::local::StoreIndex& index);

// `name` is `prefix` or below it; everything is below "".
bool IsBelow(std::string_view name, std::string_view prefix);

// All of stdin, at most `limit` bytes. Asks on the terminal, without echo, where stdin is one.
absl::StatusOr<SecretBytes> ReadStandardInput(size_t limit, std::string_view prompt);
// `bytes` to stdout, unchanged.
absl::Status WriteStandardOutput(std::string_view bytes);
// For values only: a terminal keeps what it showed. Fails as wrong usage unless `force`.
bool StandardOutputMayHoldValues(bool force);

// 2026-11-24T15:04:05Z
std::string TimeText(WallTime time);

// Prints each damaged record on stderr; the exit code for a store with `damaged` records.
int ReportDamage(const std::vector<providers::local::DamagedRecord>& damaged,
                 const providers::local::StoreSnapshot& snapshot);

}  // namespace secretfs::cli
