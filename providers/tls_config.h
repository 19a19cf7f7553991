#pragma once

// How a server's certificate is verified and what ours is: a plain value without behaviour.

#include <memory>
#include <string>

#include "base/secret_bytes.h"

namespace secretfs::providers {

struct TlsConfig {
  std::string ca_file;
  std::string ca_directory;
  std::string ca_bundle;  // PEM text
  std::string client_certificate_file;
  std::string client_key_file;
  // The same two as PEM text, where they come from no file; they win over the files.
  std::shared_ptr<const SecretBytes> client_certificate = nullptr;
  std::shared_ptr<const SecretBytes> client_key = nullptr;
  std::string server_name;   // verified and sent as SNI instead of the URL's host
  bool skip_verify = false;  // logs a warning on each start
};

}  // namespace secretfs::providers
