#pragma once

// Where the master key of a local store comes from: a key file, a passphrase through scrypt, or a
// systemd credential. A KeySource is asked anew whenever a store is opened whose key it has not
// already found, so a key file that was replaced, or a new passphrase, works without a restart.
//
// A key file holds one key as 32 raw bytes, or keys as 64 hexadecimal digits, one a line; all are
// tried, and a store that is made gets the first. Several are there when a key was replaced (the
// old one stays until it is dropped, which also makes replacing safe against a crash between its
// steps and against readers in the middle), or when several stores share the file.
//
// Thread-safety: one thread at a time. Nothing is written here.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/local/store_format.h"
#include "providers/store_config.h"

namespace secretfs::providers::local {

inline constexpr size_t kMaximumKeyFileBytes = 4096;

// What scrypt costs when a passphrase is set: 128 MiB and some 0.4 s by default.
struct ScryptCost {
  uint8_t log2_n = 17;
  uint32_t r = 8;
  uint32_t p = 1;
};

// A master key together with what the header says about it.
struct MasterKey {
  KeyParameters parameters;
  SecretBytes key;
};

class KeySource {
 public:
  // Asks a person; the text without line end. `Unavailable`-like errors are passed on.
  using Prompt = std::function<absl::StatusOr<SecretBytes>()>;

  // Exactly one source of `config` is used: the first that is set of key file, passphrase,
  // credential; with none, `prompt` asks for a passphrase.
  explicit KeySource(LocalKeySource config, Prompt prompt = nullptr);

  KeyKind kind() const;
  // "key file /x", "the passphrase in file /x", …: for messages.
  std::string Describe() const;

  // The master key for a store that says `parameters`: the first one that `opens` accepts.
  // Unauthenticated when none does or when there is none; PermissionDenied when the file is not
  // private.
  absl::StatusOr<SecretBytes> Find(const KeyParameters& parameters,
                                   const std::function<bool(const SecretBytes&)>& opens);

  // A key for a store that is being made: the first key of the file or credential, or the
  // passphrase with a fresh salt.
  absl::StatusOr<MasterKey> ForNewStore(ScryptCost cost = {});

 private:
  absl::StatusOr<std::vector<SecretBytes>> ReadKeys() const;
  absl::StatusOr<SecretBytes> ReadPassphrase() const;

  LocalKeySource config_;
  Prompt prompt_;
  std::optional<MasterKey> found_;  // the last key that opened a store
};

// scrypt. REQUIRES: CheckKeyParameters accepts `parameters`, of kind kPassphrase.
absl::StatusOr<SecretBytes> DeriveFromPassphrase(const SecretBytes& passphrase,
                                                 const KeyParameters& parameters);

// The keys in a key file's content. InvalidArgument says what a key file looks like.
absl::StatusOr<std::vector<SecretBytes>> ParseKeys(const SecretBytes& content);
// The content of a key file with these keys.
SecretBytes FormatKeys(const std::vector<const SecretBytes*>& keys);

// 32 fresh random bytes.
absl::StatusOr<SecretBytes> NewRandomKey();

// Writes a new key file (mode 0600) with one fresh key. AlreadyExists if there is a file.
absl::Status CreateKeyFile(const std::string& path);

}  // namespace secretfs::providers::local
