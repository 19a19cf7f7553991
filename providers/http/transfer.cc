#include "providers/http/transfer.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/http/curl_errors.h"
#include "providers/http/url.h"

namespace secretfs::providers {
namespace {

constexpr size_t kHeaderLimit = 64 * 1024;  // of all header lines of one response
constexpr std::chrono::milliseconds kConnectLimit{10'000};
constexpr long kUploadBuffer = 16 * 1024;  // the least that curl takes

bool HasBody(const HttpRequest& request) {
  return !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
         request.method == "PATCH";
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool IsToken(std::string_view text) {
  return !text.empty() && text.find_first_of("\r\n\t :") == std::string_view::npos &&
         text.find('\0') == std::string_view::npos;
}

bool IsHeaderValue(std::string_view text) {
  return text.find_first_of("\r\n") == std::string_view::npos &&
         text.find('\0') == std::string_view::npos;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

Transfer::Transfer(const HttpClientOptions& options, CURLSH* share, size_t generation)
    : handle_(curl_easy_init()),
      tls_(options.tls),
      use_proxy_(options.use_proxy),
      generation_(generation) {
  Set(CURLOPT_PRIVATE, this);
  Set(CURLOPT_SHARE, share);
  Set(CURLOPT_ERRORBUFFER, error_text_.data());
  Set(CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  Set(CURLOPT_WRITEDATA, this);
  Set(CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  Set(CURLOPT_HEADERDATA, this);
  Set(CURLOPT_USERAGENT, options.user_agent.c_str());
  Set(CURLOPT_NOSIGNAL, 1L);
  // A transfer that is given up while its host name is being looked up must not wait for the
  // lookup: that would hold up the I/O thread for as long as a dead name server does.
  Set(CURLOPT_QUICK_EXIT, 1L);
  // What is asked for is what is written: curl neither cleans up "..", nor follows a redirect, nor
  // takes credentials from the URL or a netrc file, nor unpacks a body.
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_PATH_AS_IS, 1L);
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  Set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  Set(CURLOPT_UPLOAD_BUFFERSIZE, kUploadBuffer);
  Set(CURLOPT_TCP_NODELAY, 1L);
  Set(CURLOPT_TCP_KEEPALIVE, 1L);
  Set(CURLOPT_TCP_KEEPIDLE, 30L);
  Set(CURLOPT_TCP_KEEPINTVL, 10L);
  SetTls(options.tls);
}

Transfer::~Transfer() { curl_easy_cleanup(handle_); }

Transfer& Transfer::Of(CURL* handle) {
  char* self = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &self);
  return *reinterpret_cast<Transfer*>(self);
}

template <typename Value>
void Transfer::Set(CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(handle_, option, value);
  if (code != CURLE_OK && setup_ == CURLE_OK) setup_ = code;
}

void Transfer::SetTls(const TlsConfig& tls) {
  Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // The authorities that are named replace the system's, they are not added to them.
  if (!tls.ca_file.empty() || !tls.ca_directory.empty() || !tls.ca_bundle.empty()) {
    Set(CURLOPT_CAINFO, tls.ca_file.empty() ? nullptr : tls.ca_file.c_str());
    Set(CURLOPT_CAPATH, tls.ca_directory.empty() ? nullptr : tls.ca_directory.c_str());
  }
  if (!tls.ca_bundle.empty()) {
    curl_blob blob{const_cast<char*>(tls.ca_bundle.data()), tls.ca_bundle.size(), CURL_BLOB_COPY};
    Set(CURLOPT_CAINFO_BLOB, &blob);
  }
  Set(CURLOPT_CA_CACHE_TIMEOUT, 300L);  // of the system's authorities, which are slow to load
  if (tls.client_certificate != nullptr && tls.client_key != nullptr) {
    SetClientCertificate(*tls.client_certificate, *tls.client_key);
  } else if (!tls.client_certificate_file.empty()) {
    const std::string& key =
        tls.client_key_file.empty() ? tls.client_certificate_file : tls.client_key_file;
    Set(CURLOPT_SSLCERT, tls.client_certificate_file.c_str());
    Set(CURLOPT_SSLKEY, key.c_str());
  }
  if (tls.skip_verify) {
    Set(CURLOPT_SSL_VERIFYPEER, 0L);
    Set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

// Read in place: `tls_` keeps them for as long as the handle.
void Transfer::SetClientCertificate(const SecretBytes& certificate, const SecretBytes& key) {
  const auto blob_of = [](const SecretBytes& bytes) {
    return curl_blob{const_cast<std::byte*>(bytes.bytes().data()), bytes.size(), CURL_BLOB_NOCOPY};
  };
  curl_blob certificate_blob = blob_of(certificate);
  curl_blob key_blob = blob_of(key);
  Set(CURLOPT_SSLCERT_BLOB, &certificate_blob);
  Set(CURLOPT_SSLKEY_BLOB, &key_blob);
}

// What goes to this machine without TLS would go to the proxy in clear, credentials included.
void Transfer::SetProxy(const std::string& url) {
  bool use_proxy = use_proxy_;
  if (use_proxy && !url.starts_with("https:")) {
    const absl::StatusOr<Origin> origin = OriginOf(url);
    use_proxy = !origin.ok() || origin->scheme == "https" || !IsLoopback(origin->host);
  }
  Set(CURLOPT_NOPROXY, use_proxy ? nullptr : "*");  // null: as no_proxy of the environment says
}

absl::Status Transfer::Prepare(const HttpRequest& request, Duration time_left, BodySink* sink) {
  if (setup_ != CURLE_OK) {
    return absl::InternalError(
        Format("libcurl refuses one of our options: {}", curl_easy_strerror(setup_)));
  }
  request_ = &request;
  sink_ = sink;
  // With HTTP/2, requests that start together share the first connection instead of opening many.
  // Not without TLS: there curl would not know until the first answer, and wait for that.
  Set(CURLOPT_PIPEWAIT, request.url.starts_with("https:") ? 1L : 0L);
  if (!IsToken(request.method)) return absl::InvalidArgumentError("not an HTTP method");
  SECRETFS_RETURN_IF_ERROR(SetTarget(request));
  SetProxy(request.url);
  SECRETFS_RETURN_IF_ERROR(SetHeaders(request));
  SetMethod(request);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_left);
  Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(left, kConnectLimit).count()));
  // Lets curl refuse a body whose announced size is too large before it is sent. (0 is no limit.)
  const auto limit = static_cast<curl_off_t>(request.body_limit);
  Set(CURLOPT_MAXFILESIZE_LARGE, sink != nullptr ? curl_off_t{0} : std::max(limit, curl_off_t{1}));
  body_ = SecretBuilder(request.body_limit);
  return absl::OkStatus();
}

// Another name is verified and sent as SNI by asking for it in the URL, while the connection and
// the Host header go to the URL's own host.
absl::Status Transfer::SetTarget(const HttpRequest& request) {
  if (tls_.server_name.empty()) {
    Set(CURLOPT_URL, request.url.c_str());
    return absl::OkStatus();
  }
  SECRETFS_ASSIGN_OR_RETURN(const Origin origin, OriginOf(request.url));
  if (origin.scheme != "https") {
    Set(CURLOPT_URL, request.url.c_str());
    Set(CURLOPT_CONNECT_TO, nullptr);
    host_header_.clear();
    return absl::OkStatus();
  }
  SECRETFS_ASSIGN_OR_RETURN(const std::string url, WithHost(request.url, tls_.server_name));
  connect_to_text_ = Format("{}:{}:{}", tls_.server_name, origin.port, origin.HostAndPort());
  connect_to_.data = connect_to_text_.data();
  host_header_ = origin.port == "443" ? Format("Host: {}", origin.host)
                                      : Format("Host: {}", origin.HostAndPort());
  Set(CURLOPT_URL, url.c_str());
  Set(CURLOPT_CONNECT_TO, &connect_to_);
  return absl::OkStatus();
}

absl::Status Transfer::SetHeaders(const HttpRequest& request) {
  bool has_content_type = false;
  bool has_host = false;
  size_t size = 0;
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name) || !IsHeaderValue(value.ExposeAsText())) {
      return absl::InvalidArgumentError(Format(
          "the value for header {} holds a line break or a zero byte, or its name is invalid; "
          "check the file or variable that it comes from",
          IsToken(name) ? std::string_view(name) : std::string_view("(invalid name)")));
    }
    has_content_type |= EqualIgnoringCase(name, "content-type");
    has_host |= EqualIgnoringCase(name, "host");
    size += name.size() + value.size() + 3;
  }
  header_text_ = SecretBytes(size);
  header_lines_.clear();
  char* next = reinterpret_cast<char*>(header_text_.mutable_bytes().data());
  for (const auto& [name, value] : request.headers) {
    header_lines_.push_back({next, nullptr});
    next = std::copy(name.begin(), name.end(), next);
    if (value.empty()) {
      *next++ = ';';  // curl's way to send a header without a value
    } else {
      *next++ = ':';
      *next++ = ' ';
      next = std::copy_n(value.ExposeAsText().data(), value.size(), next);
    }
    *next++ = '\0';
  }
  // curl would wait for the server's consent before a large body, and would call any body a form.
  static char no_expect[] = "Expect:";
  static char no_content_type[] = "Content-Type:";
  if (HasBody(request)) header_lines_.push_back({no_expect, nullptr});
  if (HasBody(request) && !has_content_type) header_lines_.push_back({no_content_type, nullptr});
  if (!host_header_.empty() && !has_host) header_lines_.push_back({host_header_.data(), nullptr});
  for (size_t i = 1; i < header_lines_.size(); ++i) header_lines_[i - 1].next = &header_lines_[i];
  Set(CURLOPT_HTTPHEADER, header_lines_.empty() ? nullptr : header_lines_.data());
  return absl::OkStatus();
}

void Transfer::SetMethod(const HttpRequest& request) {
  Set(CURLOPT_CUSTOMREQUEST, nullptr);
  if (request.method == "HEAD") {
    Set(CURLOPT_NOBODY, 1L);
    return;
  }
  if (HasBody(request)) {
    Set(CURLOPT_POST, 1L);
    Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    Set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.ExposeAsText().data());
  } else {
    Set(CURLOPT_POSTFIELDS, nullptr);  // makes the method POST, whatever it was
    Set(CURLOPT_HTTPGET, 1L);
  }
  if (request.method != "GET" || HasBody(request)) {
    Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

absl::StatusOr<HttpResponse> Transfer::Finish(CURLcode code) {
  if (code != CURLE_OK) return FailureOf(code);
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &response_.status);
  response_.body = body_.Finish();
  return std::move(response_);
}

absl::Status Transfer::FailureOf(CURLcode code) const {
  // Not ResourceExhausted, which is an outage: the same answer would be fetched again and again.
  if (body_too_large_ || code == CURLE_FILESIZE_EXCEEDED) {
    return absl::OutOfRangeError(
        Format("the answer is larger than the limit of {} bytes", request_->body_limit));
  }
  if (headers_too_large_) {
    return absl::OutOfRangeError(
        Format("the answer's headers are larger than the limit of {} bytes", kHeaderLimit));
  }
  return StatusOfCurl(handle_, code,
                      {.url = request_->url, .tls = tls_, .text = error_text_.data()});
}

void Transfer::Clear() {
  request_ = nullptr;
  sink_ = nullptr;
  Set(CURLOPT_HTTPHEADER, nullptr);
  Set(CURLOPT_POSTFIELDS, nullptr);
  // With TLS, curl copies what it sends, credentials included, into a buffer of the handle. Setting
  // its size gives it back.
  Set(CURLOPT_UPLOAD_BUFFERSIZE, kUploadBuffer);
  header_lines_.clear();
  header_text_ = SecretBytes();
  response_ = HttpResponse();
  body_ = SecretBuilder(0);
  header_bytes_ = 0;
  in_headers_ = body_too_large_ = headers_too_large_ = false;
  error_text_[0] = '\0';
}

size_t Transfer::OnBody(char* data, size_t size, size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (transfer.sink_ != nullptr) {
    const bool taken = transfer.sink_->OnBody(std::string_view(data, size * count));
    return taken ? size * count : CURL_WRITEFUNC_PAUSE;
  }
  if (!transfer.body_.Append(std::string_view(data, size * count)).ok()) {
    transfer.body_too_large_ = true;
    return 0;
  }
  return size * count;
}

size_t Transfer::OnHeader(char* data, size_t size, size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  return transfer.AddHeaderLine(std::string_view(data, size * count)) ? size * count : 0;
}

// Lines of the last response only: an interim one (103) is followed by another status line, and
// what comes after the empty line are trailers, which are not wanted.
bool Transfer::AddHeaderLine(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderLimit) {
    headers_too_large_ = true;
    return false;
  }
  if (line.starts_with("HTTP/")) {
    response_.headers.clear();
    in_headers_ = true;
    return true;
  }
  if (Trim(line).empty() && std::exchange(in_headers_, false)) HeadersEnd();
  const size_t colon = line.find(':');
  if (!in_headers_ || colon == std::string_view::npos) return true;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  response_.headers.emplace(std::move(name), std::string(Trim(line.substr(colon + 1))));
  return true;
}

void Transfer::HeadersEnd() {
  if (sink_ == nullptr) return;
  long status = 0;
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200) sink_->OnHead(status, std::move(response_.headers));  // else an interim answer
}

}  // namespace secretfs::providers
