#pragma once

// The one place where libcurl's verdict on a transfer becomes a status with a message that says
// what went wrong, with which server, and what to set. Messages come from here, not from curl,
// because curl's may quote headers; only its words about TLS are passed on.

#include <curl/curl.h>

#include <string>

#include "absl/status/status.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

struct FailureContext {
  const std::string& url;
  const TlsConfig& tls;
  const char* text;  // curl's error buffer
};

// REQUIRES: `code` is not CURLE_OK.
absl::Status StatusOfCurl(CURL* handle, CURLcode code, const FailureContext& context);

}  // namespace secretfs::providers
