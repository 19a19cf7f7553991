#pragma once

// Where a store's credential comes from: a plain value without behaviour.
// providers/auth/credential.h reads it.

#include <memory>
#include <string>

#include "base/secret_bytes.h"

namespace secretfs::providers {

// Where a credential comes from. Exactly one member is set. Files are read again when they change.
struct CredentialSource {
  std::string file;                                 // path
  std::string environment;                          // name of an environment variable
  std::shared_ptr<const SecretBytes> inline_value;  // from a Kubernetes Secret manifest given along
  bool empty() const { return file.empty() && environment.empty() && inline_value == nullptr; }
};

}  // namespace secretfs::providers
