#pragma once

// How a local store is described in a manifest: plain values without behaviour.

#include <string>

#include "providers/credential_source.h"

namespace secretfs::providers {

struct LocalKeySource {
  std::string key_file;            // 32 random bytes, hex or raw; mode 0600 or tighter
  CredentialSource passphrase;     // through scrypt
  std::string systemd_credential;  // name below $CREDENTIALS_DIRECTORY
};

struct LocalStoreConfig {
  std::string path;    // the store file
  LocalKeySource key;  // all empty: the key file beside the store, PATH.key
};

}  // namespace secretfs::providers
