#pragma once

// How a server's certificate is verified and what ours is: a plain value without behaviour.

#include <string>

namespace secretfs::providers {

struct TlsConfig {
  std::string ca_file;
  std::string ca_directory;
  std::string ca_bundle;  // PEM text
  std::string client_certificate_file;
  std::string client_key_file;
  std::string server_name;   // verified and sent as SNI instead of the URL's host
  bool skip_verify = false;  // logs a warning on each start
};

}  // namespace secretfs::providers
