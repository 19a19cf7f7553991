#pragma once

// A client on a real I/O thread, called from the test's thread.

#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/io_thread.h"
#include "base/text.h"
#include "providers/http/http_client.h"
#include "tests/fakes/http_test_server.h"

namespace secretfs::providers {

class HttpClientTest : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<HttpResponse>;

  HttpClientTest() { io_.Start(); }
  ~HttpClientTest() override {
    DestroyClient();
    io_.Stop();
  }

  // Tests ask servers with made-up names, without TLS.
  static HttpClientOptions ForAnybody() {
    HttpClientOptions options;
    options.plaintext = Plaintext::kAnybody;
    return options;
  }
  void MakeClient(HttpClientOptions options = ForAnybody()) {
    DestroyClient();
    client_ = std::make_unique<HttpClient>(io_.context(), clock_, std::move(options));
  }
  void DestroyClient() {
    io_.RunAndWait([this] { client_.reset(); });
  }

  static HttpRequest Get(std::string url,
                         std::chrono::milliseconds time = std::chrono::seconds(20)) {
    HttpRequest request;
    request.url = std::move(url);
    request.deadline = SystemClock().Now() + time;
    return request;
  }

  std::future<Result> Start(HttpRequest request) {
    if (client_ == nullptr) MakeClient();
    return asio::co_spawn(io_.context(), client_->Send(std::move(request)), asio::use_future);
  }
  Result Send(HttpRequest request) { return Start(std::move(request)).get(); }

  IoThread io_;
  SystemClock clock_;
  std::unique_ptr<HttpClient> client_;
};

inline bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline fakes::HttpTestServer::Response Answer(std::string body, int status = 200) {
  fakes::HttpTestServer::Response response;
  response.body = std::move(body);
  response.status = status;
  return response;
}

}  // namespace secretfs::providers
