#include "providers/http/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UniqueUrl = std::unique_ptr<CURLU, UrlDeleter>;

// Empty when the part is not there.
std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string result(text);
  curl_free(text);
  return result;
}

absl::StatusOr<UniqueUrl> Parse(const std::string& url) {
  UniqueUrl parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return absl::InvalidArgumentError(
        Format("{} is not a URL of the form https://HOST[:PORT]/PATH", UrlForMessages(url)));
  }
  return parsed;
}

}  // namespace

absl::StatusOr<Origin> OriginOf(const std::string& url) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueUrl parsed, Parse(url));
  Origin origin;
  origin.scheme = LowerCase(Part(parsed.get(), CURLUPART_SCHEME));
  origin.host = LowerCase(Part(parsed.get(), CURLUPART_HOST));
  origin.port = Part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (origin.scheme != "http" && origin.scheme != "https") {
    return absl::InvalidArgumentError(
        Format("{}: only http and https are supported", UrlForMessages(url)));
  }
  return origin;
}

std::string UrlForMessages(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return std::string(url);
  const size_t authority = scheme_end + 3;
  const size_t path = std::min(url.find('/', authority), url.size());
  const size_t at = url.substr(0, path).rfind('@');
  if (at == std::string_view::npos || at < authority) return std::string(url);
  return std::string(url.substr(0, authority)) + std::string(url.substr(at + 1));
}

absl::StatusOr<std::string> ResolveReference(const std::string& base,
                                             const std::string& reference) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueUrl parsed, Parse(base));
  constexpr unsigned kFlags = CURLU_PATH_AS_IS | CURLU_URLENCODE;
  if (curl_url_set(parsed.get(), CURLUPART_URL, reference.c_str(), kFlags) != CURLUE_OK) {
    return absl::FailedPreconditionError(
        "redirected to something that is not an http or https URL");
  }
  return Part(parsed.get(), CURLUPART_URL);
}

absl::StatusOr<std::string> WithHost(const std::string& url, const std::string& host) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueUrl parsed, Parse(url));
  if (curl_url_set(parsed.get(), CURLUPART_HOST, host.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError(Format("the TLS server name {} is not a host name", host));
  }
  return Part(parsed.get(), CURLUPART_URL);
}

}  // namespace secretfs::providers
