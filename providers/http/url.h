#pragma once

// What the HTTP client needs to know about URLs: where one leads, how it may be shown, and what a
// Location header means. Parsed by libcurl, so that these answers and curl's own cannot differ.
// Free functions without state; safe from any thread.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace secretfs::providers {

// Scheme and host in lower case; the port is always filled in. An IPv6 host is in brackets.
struct Origin {
  std::string scheme;
  std::string host;
  std::string port;
  friend bool operator==(const Origin&, const Origin&) = default;
  std::string HostAndPort() const { return host + ":" + port; }
};

// InvalidArgument when `url` is not an absolute http or https URL.
absl::StatusOr<Origin> OriginOf(const std::string& url);

// `url` without user information, query and fragment: what messages may show.
std::string UrlForMessages(std::string_view url);

// The absolute URL that `reference` (absolute or relative) means on a page at `base`.
absl::StatusOr<std::string> ResolveReference(const std::string& base, const std::string& reference);

// `url` with another host; port, path and query stay.
absl::StatusOr<std::string> WithHost(const std::string& url, const std::string& host);

}  // namespace secretfs::providers
