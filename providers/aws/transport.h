#pragma once

// Sends signed requests to AWS and reads the errors that come back. Knows the difference between
// this machine's clock and AWS's: when an answer says that a request's time was wrong, the server's
// Date header corrects all later requests, and that one is sent once more.
//
// Thread-safety: I/O thread only. Owned by shared_ptr; Stop ends what is under way.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/auth/sigv4.h"
#include "providers/aws/api_error.h"
#include "providers/http/http_client.h"

namespace secretfs::providers::aws {

struct AwsRequest {
  std::string url;  // POSTed to
  std::string service, region;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<const SecretBytes> body;
  AwsCredentialsPtr credentials;  // null: sent without a signature
  MonotonicTime deadline = MonotonicTime::max();
  size_t answer_limit = 1 << 20;
};

struct AwsAnswer {
  HttpResponse response;
  ApiError error;  // of answers that are not 2xx
  bool ok() const { return response.status >= 200 && response.status < 300; }
};

class Transport {
 public:
  Transport(asio::io_context& context, const Clock& clock, const TlsConfig& tls);

  // Any answer, whatever its status; or why there is none.
  asio::awaitable<absl::StatusOr<AwsAnswer>> Send(AwsRequest request);

  // What AWS's clock is believed to show.
  WallTime ServerNow() const { return clock_.WallNow() + skew_; }
  // When credentials that the server says to end at `expiration` end on our clock.
  MonotonicTime ExpiryOf(WallTime expiration, const HttpResponse& answer) const;

  const Clock& clock() const { return clock_; }
  asio::io_context& context() const { return context_; }
  void Stop() { http_.reset(); }

 private:
  asio::awaitable<absl::StatusOr<AwsAnswer>> SendOnce(std::shared_ptr<const AwsRequest> request);
  // Corrects our idea of the server's time when the answer's Date says that it is wrong.
  void LearnSkew(const HttpResponse& response);

  asio::io_context& context_;
  const Clock& clock_;
  std::shared_ptr<HttpClient> http_;
  Duration skew_{0};
};

// The Date header of an answer.
std::optional<WallTime> DateOf(const HttpResponse& response);

}  // namespace secretfs::providers::aws
