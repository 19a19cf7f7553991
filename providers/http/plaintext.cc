#include "providers/http/plaintext.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/status.h"
#include "base/text.h"
#include "providers/http/url.h"

namespace secretfs::providers {
namespace {

using Address = std::array<uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

constexpr Address kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Nothing for names.
std::optional<Address> AddressOf(std::string_view host) {
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string text(in_brackets ? host.substr(1, host.size() - 2) : host);
  Address address = kMapped;
  if (in_brackets || text.find(':') != std::string::npos) {
    if (inet_pton(AF_INET6, text.c_str(), address.data()) != 1) return std::nullopt;
  } else if (inet_pton(AF_INET, text.c_str(), address.data() + 12) != 1) {
    return std::nullopt;
  }
  return address;
}

bool IsIpv4(const Address& address) {
  return std::equal(address.begin(), address.begin() + 12, kMapped.begin());
}

}  // namespace

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  const std::optional<Address> address = AddressOf(host);
  if (!address.has_value()) return false;
  if (IsIpv4(*address)) return (*address)[12] == 127;
  return std::memcmp(address->data(), &in6addr_loopback, address->size()) == 0;
}

bool IsMetadataService(std::string_view host) {
  if (host == "metadata.google.internal" || host == "metadata.goog") return true;
  const std::optional<Address> address = AddressOf(host);
  if (!address.has_value()) return false;
  const Address& bytes = *address;
  if (IsIpv4(bytes)) return bytes[12] == 169 && bytes[13] == 254;
  const bool is_link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  const bool is_amazon = bytes[0] == 0xfd && bytes[1] == 0 && bytes[2] == 0x0e && bytes[3] == 0xc2;
  return is_link_local || is_amazon;
}

absl::Status CheckConfidential(const std::string& url, Plaintext allowed, std::string_view what) {
  SECRETFS_ASSIGN_OR_RETURN(const Origin origin, OriginOf(url));
  if (origin.scheme == "https" || allowed == Plaintext::kAnybody || IsLoopback(origin.host)) {
    return absl::OkStatus();
  }
  if (allowed == Plaintext::kMetadata && IsMetadataService(origin.host)) return absl::OkStatus();
  return absl::InvalidArgumentError(Format(
      "{} '{}' would carry credentials and secrets without TLS; expected https:// (http:// is for "
      "this machine: 127.0.0.0/8, [::1], localhost{})",
      what, UrlForMessages(url),
      allowed == Plaintext::kMetadata ? ", and for metadata services at link-local addresses"
                                      : ""));
}

}  // namespace secretfs::providers
