#pragma once

// An HTTP client that can be stopped while coroutines that hold it wait for an answer: they get
// Cancelled then, as does every later call. Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/http/http_client.h"

namespace secretfs::providers::azure {

class Transport {
 public:
  Transport(asio::io_context& context, const Clock& clock, HttpClientOptions options)
      : context_(context),
        clock_(clock),
        http_(std::make_unique<HttpClient>(context, clock, std::move(options))) {}
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // As HttpClient::Send.
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(HttpRequest request) {
    if (http_ == nullptr) co_return absl::CancelledError("the store is closed");
    co_return co_await http_->Send(std::move(request));
  }

  void Stop() { http_.reset(); }

  asio::io_context& context() { return context_; }
  const Clock& clock() const { return clock_; }

 private:
  asio::io_context& context_;
  const Clock& clock_;
  std::unique_ptr<HttpClient> http_;  // null after Stop
};

}  // namespace secretfs::providers::azure
