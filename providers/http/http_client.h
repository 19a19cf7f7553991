#pragma once

// One HTTP client for all providers: libcurl's multi interface driven by Asio on the I/O thread.
// Connections are kept and reused per host; HTTP/2 where the server has it; the proxy comes from
// the environment as curl reads it, but never gets what goes to this machine without TLS. Redirects
// are never followed across hosts (they are an error that names both). Response bodies go to locked
// memory and are bounded.
//
// Send keeps a whole answer; Stream hands it out piece by piece (http_stream.h).
//
// Makes one attempt a call: no retries here. Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/http/http_stream.h"
#include "providers/http/plaintext.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  // Header values may be credentials, hence SecretBytes.
  std::vector<std::pair<std::string, SecretBytes>> headers;
  SecretBytes body;
  MonotonicTime deadline = MonotonicTime::max();
  size_t body_limit = 1 << 20;  // of the response
};

struct HttpResponse {
  long status = 0;
  std::multimap<std::string, std::string> headers;  // names in lower case
  SecretBytes body;
};

struct HttpClientOptions {
  TlsConfig tls;
  size_t connections_per_host = 32;
  std::string user_agent = "secretfs/" SECRETFS_VERSION;
  // False for servers that only this machine can reach (instance metadata, credential agents),
  // whatever proxy the environment names.
  bool use_proxy = true;
  // Requests to others without TLS are refused (InvalidArgument).
  Plaintext plaintext = Plaintext::kThisMachine;
};

class HttpClient {
 public:
  HttpClient(asio::io_context& context, const Clock& clock, HttpClientOptions options);
  ~HttpClient();  // cancels what is under way
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any answer of the server is a response, whatever its status. Failures: Unavailable (cannot
  // resolve, connect, TLS handshake, connection cut), DeadlineExceeded, OutOfRange (answer over the
  // limit), FailedPrecondition (redirect to another host; TLS certificate not accepted),
  // Cancelled (client destroyed). Messages name the URL without its query.
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(HttpRequest request);

  // Returns when the answer's head is there, whatever its status; the request's deadline is for
  // that, and its body_limit does not count. Redirects are not followed: they are answers. Failures
  // as Send's.
  asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> Stream(HttpRequest request,
                                                                      HttpStreamOptions options);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with the coroutines inside Send
};

}  // namespace secretfs::providers
