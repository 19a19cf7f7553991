#pragma once

// One libcurl easy handle and what belongs to a request that runs on it. Made once with the options
// that all requests share, then used for one request after another.
//
// Not thread-safe. The request given to Prepare must outlive the transfer: curl reads its body in
// place.

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/http/body_sink.h"
#include "providers/http/http_client.h"

namespace secretfs::providers {

class Transfer {
 public:
  // `share` holds TLS sessions, so that a new connection resumes one; not owned, outlives this.
  // `generation` tells transfers with older TLS settings apart.
  Transfer(const HttpClientOptions& options, CURLSH* share, size_t generation);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const { return handle_; }
  size_t generation() const { return generation_; }
  // The transfer that was made with `handle`.
  static Transfer& Of(CURL* handle);

  // Sets the handle up for `request`. InvalidArgument when it cannot be sent as it stands.
  // `time_left` bounds connecting. With a `sink` (not owned, may be null; outlives the run) the
  // answer goes there, without a limit, and Finish returns an empty one.
  absl::Status Prepare(const HttpRequest& request, Duration time_left, BodySink* sink);
  // What came of it, `code` being curl's verdict. Call once after each run.
  absl::StatusOr<HttpResponse> Finish(CURLcode code);
  // Forgets everything about the request.
  void Clear();

 private:
  template <typename Value>
  void Set(CURLoption option, Value value);
  void SetTls(const TlsConfig& tls);
  void SetClientCertificate(const SecretBytes& certificate, const SecretBytes& key);
  void SetMethod(const HttpRequest& request);
  void SetProxy(const std::string& url);
  absl::Status SetTarget(const HttpRequest& request);
  absl::Status SetHeaders(const HttpRequest& request);
  absl::Status FailureOf(CURLcode code) const;

  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  bool AddHeaderLine(std::string_view line);
  void HeadersEnd();

  CURL* const handle_;
  const TlsConfig tls_;
  const bool use_proxy_;
  const size_t generation_;
  CURLcode setup_ = CURLE_OK;  // the first option that curl refused
  std::array<char, CURL_ERROR_SIZE> error_text_{};

  // --- of the request under way
  const HttpRequest* request_ = nullptr;
  BodySink* sink_ = nullptr;
  // The lines of curl's header list point into `header_text_` (locked memory, each ends with a zero
  // byte) or at literals; curl reads the list where it is.
  SecretBytes header_text_;
  std::vector<curl_slist> header_lines_;
  std::string host_header_;
  std::string connect_to_text_;
  curl_slist connect_to_{};

  HttpResponse response_;
  SecretBuilder body_{0};
  size_t header_bytes_ = 0;
  bool in_headers_ = false;
  bool body_too_large_ = false;
  bool headers_too_large_ = false;
};

}  // namespace secretfs::providers
