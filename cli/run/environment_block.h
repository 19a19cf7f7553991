#pragma once

// The environment of a program that is started with secrets in it: pointers to the inherited
// variables and, in locked memory, the secret ones. execve needs this one copy; it is wiped with
// the block, which may go as soon as the program has started. Not thread-safe.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::cli {

class EnvironmentBlock {
 public:
  // `inherited` as environ is; it must outlive the block. A secret takes the place of an inherited
  // variable of its name. InvalidArgument naming a variable whose value holds a NUL byte.
  static absl::StatusOr<EnvironmentBlock> Make(
      char* const* inherited,
      const std::vector<std::pair<std::string, const SecretBytes*>>& secrets);

  // Adds a variable that is no secret.
  void Add(const std::string& name, const std::string& value);

  // Ends with a null pointer; valid until the block changes or goes.
  char* const* entries() const { return entries_.data(); }

 private:
  void Append(char* entry) {
    entries_.back() = entry;
    entries_.push_back(nullptr);
  }
  std::vector<char*> entries_{nullptr};
  std::vector<SecretBytes> texts_;  // "NAME=VALUE\0"
};

}  // namespace secretfs::cli
