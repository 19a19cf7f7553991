#include "providers/auth/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kWhitespace = " \t\r\n\v\f";

using Digest = std::array<unsigned char, 32>;

// Lower-case names of headers that do not arrive as they are sent.
constexpr std::array<std::string_view, 14> kUnsigned{
    "baggage",     "connection",          "expect",  "keep-alive",     "proxy-authenticate",
    "te",          "proxy-authorization", "trailer", "tracestate",     "transfer-encoding",
    "traceparent", "user-agent",          "upgrade", "x-amzn-trace-id"};

// Nothing here can fail but for lack of memory, and then nothing in this process would be safe.
void Require(bool condition) {
  if (!condition) std::abort();
}

// SHA-256 of pieces: the canonical request holds the session token, so it is never put together.
class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new()) {
    Require(context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
  }
  ~Hash() { EVP_MD_CTX_free(context_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  void Add(std::string_view text) {
    Require(EVP_DigestUpdate(context_, text.data(), text.size()) == 1);
  }
  Digest Finish() {
    Digest digest;
    Require(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  EVP_MD_CTX* context_;
};

std::string Hex(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Digest Hmac(std::span<const std::byte> key, std::string_view text) {
  Digest digest;
  unsigned int size = 0;
  Require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
               &size) != nullptr);
  return digest;
}

struct UrlParts {
  std::string host;  // as the Host header has it
  std::string_view path, query;
};

absl::StatusOr<UrlParts> Split(std::string_view url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) {
    return absl::InvalidArgumentError("cannot sign a request to something that is no URL");
  }
  const std::string scheme = LowerCase(url.substr(0, scheme_end));
  std::string_view rest = url.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  UrlParts parts;
  parts.host = LowerCase(rest.substr(0, authority_end));
  const std::string_view default_port = scheme == "https" ? ":443" : ":80";
  if (parts.host.ends_with(default_port)) {
    parts.host.resize(parts.host.size() - default_port.size());
  }
  if (parts.host.empty() || parts.host.find('@') != std::string::npos) {
    return absl::InvalidArgumentError("cannot sign a request whose URL is not scheme://host/path");
  }
  rest.remove_prefix(authority_end);
  const size_t query = rest.find('?');
  parts.path = rest.substr(0, query);
  if (query != std::string_view::npos) parts.query = rest.substr(query + 1);
  return parts;
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

// Without "." and "..", with single slashes, and encoded once more.
std::string CanonicalPath(std::string_view path) {
  std::vector<std::string_view> components;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component == "..") {
      if (!components.empty()) components.pop_back();
    } else if (!component.empty() && component != ".") {
      components.push_back(component);
    }
    begin = end + 1;
  }
  std::string plain = "/";
  for (const std::string_view component : components) {
    if (plain.size() > 1) plain += '/';
    plain += component;
  }
  if (path.ends_with('/') && !components.empty()) plain += '/';
  std::string encoded;
  for (const char c : plain) {
    if (IsUnreserved(c) || c == '/') {
      encoded += c;
    } else {
      encoded += Format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string CanonicalQuery(std::string_view query) {
  if (query.empty()) return "";
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (size_t begin = 0; begin <= query.size();) {
    const size_t end = std::min(query.find('&', begin), query.size());
    const std::string_view pair = query.substr(begin, end - begin);
    const size_t equals = std::min(pair.find('='), pair.size());
    pairs.emplace_back(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    begin = end + 1;
  }
  std::sort(pairs.begin(), pairs.end());
  std::string result;
  for (const auto& [name, value] : pairs) {
    if (&name != &pairs.front().first) result += '&';
    result += name;
    result += '=';
    result += value;
  }
  return result;
}

// `value` without spaces at the ends and with single ones inside.
void AddTrimmed(std::string_view value, Hash& hash) {
  bool first = true;
  while (true) {
    const size_t begin = value.find_first_not_of(kWhitespace);
    if (begin == std::string_view::npos) return;
    const size_t end = std::min(value.find_first_of(kWhitespace, begin), value.size());
    if (!std::exchange(first, false)) hash.Add(" ");
    hash.Add(value.substr(begin, end - begin));
    value.remove_prefix(end);
  }
}

// Names in lower case, in order; values in the order in which they are sent.
using Headers = std::map<std::string, std::vector<std::string_view>>;

Headers HeadersToSign(const HttpRequest& request, const std::string& host) {
  Headers headers;
  for (const auto& [name, value] : request.headers) {
    std::string lower = LowerCase(name);
    if (std::find(kUnsigned.begin(), kUnsigned.end(), lower) != kUnsigned.end()) continue;
    headers[std::move(lower)].push_back(value.ExposeAsText());
  }
  if (headers.find("host") == headers.end()) headers["host"].push_back(host);
  return headers;
}

std::string NamesOf(const Headers& headers) {
  std::string names;
  for (const auto& [name, values] : headers) {
    if (!names.empty()) names += ';';
    names += name;
  }
  return names;
}

std::string HashOf(std::string_view text) {
  Hash hash;
  hash.Add(text);
  return Hex(hash.Finish());
}

std::string CanonicalRequestHash(const HttpRequest& request, const UrlParts& url,
                                 const Headers& headers, std::string_view names) {
  Hash hash;
  hash.Add(
      Format("{}\n{}\n{}\n", request.method, CanonicalPath(url.path), CanonicalQuery(url.query)));
  for (const auto& [name, values] : headers) {
    hash.Add(name);
    for (size_t i = 0; i < values.size(); ++i) {
      hash.Add(i == 0 ? ":" : ",");
      AddTrimmed(values[i], hash);
    }
    hash.Add("\n");
  }
  hash.Add(Format("\n{}\n{}", names, HashOf(request.body.ExposeAsText())));
  return Hex(hash.Finish());
}

Digest SigningKey(const SecretBytes& secret, std::string_view day, const SigningScope& scope) {
  constexpr std::string_view kPrefix = "AWS4";
  SecretBytes start(kPrefix.size() + secret.size());
  std::span<std::byte> bytes = start.mutable_bytes();
  const auto prefix = std::as_bytes(std::span(kPrefix.data(), kPrefix.size()));
  std::copy(prefix.begin(), prefix.end(), bytes.begin());
  std::copy(secret.bytes().begin(), secret.bytes().end(), bytes.begin() + kPrefix.size());
  Digest key = Hmac(start.bytes(), day);
  for (const std::string_view part :
       {scope.region, scope.service, std::string_view("aws4_request")}) {
    key = Hmac(std::as_bytes(std::span(key)), part);
  }
  return key;
}

std::string TimeStamp(WallTime now) {
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::floor<std::chrono::seconds>(now).time_since_epoch())
                                  .count();
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return {text, size};
}

}  // namespace

absl::Status SignAwsRequest(HttpRequest& request, const AwsCredentials& credentials,
                            const SigningScope& scope, WallTime now) {
  SECRETFS_ASSIGN_OR_RETURN(const UrlParts url, Split(request.url));
  std::erase_if(request.headers, [](const auto& header) {
    const std::string name = LowerCase(header.first);
    return name == "authorization" || name == "x-amz-date" || name == "x-amz-security-token";
  });
  const std::string time = TimeStamp(now);
  request.headers.emplace_back("X-Amz-Date", SecretBytes::CopyOf(time));
  if (!credentials.session_token.empty()) {
    request.headers.emplace_back("X-Amz-Security-Token", credentials.session_token.Clone());
  }
  const Headers headers = HeadersToSign(request, url.host);
  const std::string names = NamesOf(headers);
  const std::string day = time.substr(0, 8);
  const std::string credential_scope =
      Format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign = Format("{}\n{}\n{}\n{}", kAlgorithm, time, credential_scope,
                                     CanonicalRequestHash(request, url, headers, names));
  Digest key = SigningKey(credentials.secret_access_key, day, scope);
  const std::string signature = Hex(Hmac(std::as_bytes(std::span(key)), to_sign));
  OPENSSL_cleanse(key.data(), key.size());
  request.headers.emplace_back(
      "Authorization",
      SecretBytes::CopyOf(Format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                 credentials.access_key_id, credential_scope, names, signature)));
  return absl::OkStatus();
}

}  // namespace secretfs::providers
