#pragma once

// The answer to one request whose body comes piece by piece for as long as the server has something
// to say: what a watch reads. Made by HttpClient::Stream when the answer's head is there. Dropping
// it ends the request. When the server has been silent for too long, it ends with an error.
//
// Thread-safety: I/O thread only; one Next at a time. May outlive its client, whose end ends it.

#include <asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

struct HttpStreamOptions {
  // How long the server may send nothing at all, once the head is there.
  Duration idle_limit = std::chrono::minutes(3);
  // Bytes that wait here for a reader that is slower than the server; when there are as many, no
  // more is taken from the server for the moment.
  size_t buffer_limit = size_t{1} << 20;
};

class StreamBody;

class HttpStream {
 public:
  // `end` ends the request.
  HttpStream(std::shared_ptr<StreamBody> body, std::function<void()> end);
  ~HttpStream();
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;

  long status() const;
  const std::multimap<std::string, std::string>& headers() const;  // names in lower case

  // What has come of the body since the last call, waiting for at least one byte; empty at its end.
  // Failures: Unavailable (connection cut), DeadlineExceeded (silent for the idle limit), Cancelled
  // (this coroutine, or the client destroyed). Bytes that came before a failure are given out
  // first.
  asio::awaitable<absl::StatusOr<SecretBytes>> Next();

 private:
  std::shared_ptr<StreamBody> body_;
  std::function<void()> end_;
};

}  // namespace secretfs::providers
