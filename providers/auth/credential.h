#pragma once

// Reads a credential (token, secret id, JWT) from where the configuration says: a file, an
// environment variable, or a value given along with the manifest. Remembers which state of a file
// it read, so that a caller can ask cheaply whether another one is there. Whitespace around the
// value is dropped, as editors and `echo` add it.
//
// Not thread-safe. Reads small local files synchronously. Error messages name the file or variable,
// never its content.

#include <sys/stat.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/credential_source.h"

namespace secretfs::providers {

class Credential {
 public:
  // `what` names the credential in errors: "token", "secret id".
  Credential(CredentialSource source, std::string what);

  // FailedPrecondition when it cannot be read or is empty.
  absl::StatusOr<SecretBytes> Read();
  // The same for binary material: whitespace at the ends belongs to it.
  absl::StatusOr<SecretBytes> ReadExact();

  // True when the file is not the one that Read last returned; false for other sources, and while
  // the file cannot be looked at (what was read before stays the best there is).
  bool Changed() const;

  bool empty() const { return source_.empty(); }
  bool is_file() const { return !source_.file.empty(); }
  // "token file /run/token", "environment variable VAULT_TOKEN", "token of the manifest".
  std::string Description() const;

 private:
  // Which state of the file was read: replaced files differ in inode, rewritten ones in times.
  struct FileState {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    struct timespec modified = {};
    struct timespec changed = {};
  };
  static FileState StateOf(const struct stat& status);
  static bool Same(const FileState& a, const FileState& b);
  absl::StatusOr<SecretBytes> ReadFile();  // as it is

  CredentialSource source_;
  std::string what_;
  std::optional<FileState> read_state_;
};

}  // namespace secretfs::providers
