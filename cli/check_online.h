#pragma once

// `secretfs check --online`: one line for each store's login, each browse tree and each file, with
// what the store says. Values are fetched (that is what a mount would do) and thrown away unread,
// except for finding a property. Blocking; main thread.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/runtime.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

struct CheckedItem {
  std::string path;  // of the file or tree; empty for a login
  std::string store;
  std::string key;
  std::string result;  // "ok", "missing", "denied", "unreachable" or "failed"
  std::string version;
  absl::Status status;
};

absl::StatusOr<std::vector<CheckedItem>> CheckOnline(const k8s::Manifest& manifest,
                                                     Runtime& runtime);

// The word for a store's answer.
std::string ResultName(const absl::Status& status);

// Which of two exit codes a command that did several things ends with: denied before not found
// before other failures.
int WorseExitCode(int a, int b);

}  // namespace secretfs::cli
