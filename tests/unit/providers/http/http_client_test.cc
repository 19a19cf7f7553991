#include "providers/http/http_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <chrono>

#include "base/unique_fd.h"
#include "tests/unit/providers/http/http_client_fixture.h"

namespace secretfs::providers {
namespace {

using fakes::HttpTestServer;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kPlanted = "planted-d41d8cd9";

// A port of the loopback interface that refuses connections: bound, but nobody listens.
class RefusingPort {
 public:
  RefusingPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  std::string Url() const { return Format("http://127.0.0.1:{}/v1/app", port_); }
  uint16_t port() const { return port_; }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

HttpRequest WithBody(HttpRequest request, std::string method, std::string_view body) {
  request.method = std::move(method);
  request.body = SecretBytes::CopyOf(body);
  return request;
}

TEST_F(HttpClientTest, GetReturnsStatusHeadersAndBody) {
  HttpTestServer server([](const HttpTestServer::Request&) {
    auto response = Answer("hello");
    response.headers = {{"X-Index", "7"}, {"X-INDEX", "8"}};
    return response;
  });
  HttpRequest request = Get(server.Url("/v1/app?version=2"));
  request.headers.emplace_back("X-Vault-Token", SecretBytes::CopyOf("s.token"));
  request.headers.emplace_back("X-Empty", SecretBytes());
  const Result result = Send(std::move(request));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->body.ExposeAsText(), "hello");
  EXPECT_EQ(result->headers.count("x-index"), 2u);
  const auto seen = server.requests().at(0);
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.target, "/v1/app?version=2");
  EXPECT_EQ(seen.header("x-vault-token"), "s.token");
  EXPECT_EQ(seen.headers.count("x-empty"), 1u);
  EXPECT_EQ(seen.header("user-agent"), "secretfs/" SECRETFS_VERSION);
  EXPECT_EQ(seen.header("accept-encoding"), "");
}

TEST_F(HttpClientTest, AnyStatusOfTheServerIsAnAnswer) {
  for (const int status : {204, 304, 400, 403, 404, 429, 500, 503}) {
    HttpTestServer server([status](const auto&) { return Answer("", status); });
    const Result result = Send(Get(server.Url()));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->status, status);
  }
}

TEST_F(HttpClientTest, EveryMethodArrivesWithItsBodyAndNothingElse) {
  HttpTestServer server([](const auto& request) { return Answer(request.body); });
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "LIST"}) {
    const std::string_view body("a\0b\r\n", 5);
    const Result result = Send(WithBody(Get(server.Url()), method, body));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->body.ExposeAsText(), body);
    EXPECT_EQ(server.requests().back().method, method);
    EXPECT_EQ(server.requests().back().header("content-type"), "");
    EXPECT_EQ(server.requests().back().header("expect"), "");
  }
  for (const char* method : {"POST", "DELETE", "LIST", "HEAD", "GET"}) {
    ASSERT_TRUE(Send(WithBody(Get(server.Url()), method, "")).ok());
    EXPECT_EQ(server.requests().back().method, method);
    EXPECT_EQ(server.requests().back().body, "");
  }
  EXPECT_EQ(server.connection_count(), 1u);
}

TEST_F(HttpClientTest, LargeBodiesGoBothWays) {
  HttpTestServer server([](const auto& request) { return Answer(request.body); });
  const std::string large(3 << 20, 'x');
  HttpRequest request = WithBody(Get(server.Url()), "POST", large);
  request.body_limit = large.size();
  const Result result = Send(std::move(request));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->body.ExposeAsText(), large);
}

TEST_F(HttpClientTest, ABodyOverTheLimitIsRefused) {
  for (const bool chunked : {false, true}) {
    HttpTestServer server([chunked](const auto&) {
      auto response = Answer(std::string(5001, 'x'));
      response.chunked = chunked;
      return response;
    });
    HttpRequest request = Get(server.Url());
    request.body_limit = 5000;
    const Result refused = Send(std::move(request));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kOutOfRange) << refused.status();
    EXPECT_TRUE(Contains(MessageOf(refused.status()), "5000")) << refused.status();
    request = Get(server.Url());
    request.body_limit = 5001;
    const Result fits = Send(std::move(request));
    ASSERT_TRUE(fits.ok()) << fits.status();
    EXPECT_EQ(fits->body.size(), 5001u);
  }
}

TEST_F(HttpClientTest, EndlessHeadersAreRefused) {
  HttpTestServer server([](const auto&) {
    auto response = Answer("");
    for (int i = 0; i < 100; ++i) response.headers.emplace_back("X-Long", std::string(1000, 'x'));
    return response;
  });
  EXPECT_EQ(Send(Get(server.Url())).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(HttpClientTest, InterimResponsesAndTrailersAreNotHeadersOfTheAnswer) {
  HttpTestServer server([](const auto&) {
    HttpTestServer::Response response;
    response.raw =
        "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Final: 1\r\n\r\n"
        "2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n";
    return response;
  });
  const Result result = Send(Get(server.Url()));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->body.ExposeAsText(), "ok");
  EXPECT_EQ(result->headers.count("x-final"), 1u);
  EXPECT_EQ(result->headers.count("x-early"), 0u);
  EXPECT_EQ(result->headers.count("x-trailer"), 0u);
}

TEST_F(HttpClientTest, ASilentServerIsLeftAtTheDeadline) {
  HttpTestServer server([](const auto&) {
    auto response = Answer("late");
    response.hold = true;
    return response;
  });
  const auto begin = std::chrono::steady_clock::now();
  const Result result = Send(Get(server.Url(), milliseconds(800)));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), "did not answer in time")) << result.status();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(140));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
}

TEST_F(HttpClientTest, ALateAnswerWithinTheDeadlineIsTaken) {
  HttpTestServer server([](const auto&) {
    auto response = Answer("late");
    response.delay = milliseconds(120);
    return response;
  });
  EXPECT_TRUE(Send(Get(server.Url())).ok());
}

TEST_F(HttpClientTest, ABodyThatStallsIsLeftAtTheDeadline) {
  HttpTestServer server([](const auto&) {
    HttpTestServer::Response response;
    response.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
    return response;
  });
  const Result result = Send(Get(server.Url(), milliseconds(800)));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), "did not arrive completely"));
}

TEST_F(HttpClientTest, APassedDeadlineSendsNothing) {
  HttpTestServer server([](const auto&) { return Answer(""); });
  const Result result = Send(Get(server.Url(), milliseconds(-1)));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(server.connection_count(), 0u);
}

TEST_F(HttpClientTest, TheDeadlineHoldsWhileWaitingForAFreeConnection) {
  HttpTestServer server([](const auto& request) {
    auto response = Answer("");
    response.hold = request.target == "/held";
    return response;
  });
  MakeClient({.tls = {}, .connections_per_host = 1});
  std::future<Result> held = Start(Get(server.Url("/held")));
  ASSERT_TRUE(server.WaitForRequests(1));
  const Result waiting = Send(Get(server.Url("/waiting"), milliseconds(800)));
  EXPECT_EQ(waiting.status().code(), absl::StatusCode::kDeadlineExceeded) << waiting.status();
  server.Release();
  EXPECT_TRUE(held.get().ok());
  EXPECT_TRUE(Send(Get(server.Url("/after"))).ok());
  EXPECT_EQ(server.request_count(), 2u);
}

TEST_F(HttpClientTest, AnAnswerCutInTheMiddleIsUnavailable) {
  for (const bool chunked : {false, true}) {
    HttpTestServer server([chunked](const auto&) {
      auto response = Answer(std::string(5000, 'x'));
      response.chunked = chunked;
      response.cut_after = 1500;
      return response;
    });
    const Result result = Send(Get(server.Url()));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
    EXPECT_TRUE(Contains(MessageOf(result.status()), "before the answer was complete"))
        << result.status();
  }
}

TEST_F(HttpClientTest, SomethingThatIsNotHttpIsUnavailable) {
  HttpTestServer server([](const auto&) {
    HttpTestServer::Response response;
    response.raw = "SSH-2.0-OpenSSH_9.2\r\n\r\n";
    response.close = true;
    return response;
  });
  EXPECT_EQ(Send(Get(server.Url())).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(HttpClientTest, ARefusedConnectionNamesHostAndPort) {
  const RefusingPort port;
  const Result result = Send(Get(port.Url()));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(result.status()),
            Format("GET {}: cannot connect to 127.0.0.1:{}: Connection refused", port.Url(),
                   port.port()));
}

TEST_F(HttpClientTest, AnUnknownHostIsUnavailable) {
  const Result result = Send(Get("http://no-such-host.invalid/"));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), "no-such-host.invalid")) << result.status();
}

TEST_F(HttpClientTest, WithoutTlsOnlyThisMachineIsAsked) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  MakeClient(HttpClientOptions());
  EXPECT_TRUE(Send(Get(server.Url())).ok());
  for (const char* url : {"http://127.evil.example/", "http://127.0.0.1.evil.example/",
                          "http://169.254.169.254/", "HTTP://localhost.evil.example/"}) {
    const Result result = Send(Get(url));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
    EXPECT_TRUE(Contains(MessageOf(result.status()), "without TLS")) << result.status();
  }
  const auto stream =
      asio::co_spawn(io_.context(),
                     client_->Stream(Get("http://127.evil.example/"), HttpStreamOptions()),
                     asio::use_future)
          .get();
  EXPECT_EQ(stream.status().code(), absl::StatusCode::kInvalidArgument) << stream.status();
}

TEST_F(HttpClientTest, RequestsThatCannotBeSentAreInvalid) {
  const auto code = [this](HttpRequest request) {
    return Send(std::move(request)).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(Get("not a url")), kInvalid);
  EXPECT_EQ(code(Get("file:///etc/passwd")), kInvalid);
  EXPECT_EQ(code(Get("http://user:word@127.0.0.1/")), kInvalid);
  HttpRequest request = Get("http://127.0.0.1/");
  request.headers.emplace_back("X-Token", SecretBytes::CopyOf("a\r\nX-Other: b"));
  EXPECT_EQ(code(std::move(request)), kInvalid);
  request = Get("http://127.0.0.1/");
  request.headers.emplace_back("X Token", SecretBytes::CopyOf("a"));
  EXPECT_EQ(code(std::move(request)), kInvalid);
  request = Get("http://127.0.0.1/");
  request.method = "GET /other HTTP/1.1\r\n";
  EXPECT_EQ(code(std::move(request)), kInvalid);
}

TEST_F(HttpClientTest, DotsInAPathAreSentAsTheyAre) {
  HttpTestServer server([](const auto&) { return Answer(""); });
  ASSERT_TRUE(Send(Get(server.Url("/v1/secret/../sys"))).ok());
  EXPECT_EQ(server.requests().at(0).target, "/v1/secret/../sys");
}

// --- redirects

HttpTestServer::Response RedirectTo(int status, std::string location) {
  auto response = Answer("", status);
  response.headers = {{"Location", std::move(location)}};
  return response;
}

TEST_F(HttpClientTest, ARedirectOnTheSameServerIsFollowedWithTheHeaders) {
  HttpTestServer server([](const auto& request) {
    if (request.target == "/old") return RedirectTo(307, "/new?a=b");
    return Answer(request.method + request.body);
  });
  HttpRequest request = WithBody(Get(server.Url("/old")), "POST", "body");
  request.headers.emplace_back("X-Token", SecretBytes::CopyOf("t"));
  const Result result = Send(std::move(request));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->body.ExposeAsText(), "POSTbody");
  EXPECT_EQ(server.requests().at(1).target, "/new?a=b");
  EXPECT_EQ(server.requests().at(1).header("x-token"), "t");
  EXPECT_EQ(server.connection_count(), 1u);
}

TEST_F(HttpClientTest, ARedirectThatSaysSoTurnsPostIntoGet) {
  for (const int status : {301, 302, 303}) {
    HttpTestServer server([status](const auto& request) {
      if (request.target == "/old") return RedirectTo(status, "new");
      return Answer(request.method + request.body);
    });
    const Result result = Send(WithBody(Get(server.Url("/old")), "POST", "body"));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->body.ExposeAsText(), "GET");
  }
}

TEST_F(HttpClientTest, ARedirectToAnotherServerIsAnErrorThatNamesBoth) {
  HttpTestServer other([](const auto&) { return Answer(""); });
  HttpTestServer server([&](const auto&) { return RedirectTo(307, other.Url("/x?token=secret")); });
  const Result result = Send(Get(server.Url("/old")));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
  EXPECT_TRUE(Contains(MessageOf(result.status()), Format("127.0.0.1:{}", server.port())));
  EXPECT_TRUE(Contains(MessageOf(result.status()), Format("127.0.0.1:{}", other.port())));
  EXPECT_FALSE(Contains(MessageOf(result.status()), "token"));
  EXPECT_EQ(other.connection_count(), 0u);
}

TEST_F(HttpClientTest, ARedirectToAnotherSchemeOrNonsenseIsAnError) {
  for (const std::string location : {"https://127.0.0.1/", "file:///etc/passwd", "http://", "//"}) {
    HttpTestServer server([&](const auto&) { return RedirectTo(302, location); });
    const absl::Status status = Send(Get(server.Url())).status();
    EXPECT_FALSE(status.ok()) << location;
    EXPECT_FALSE(status.code() == absl::StatusCode::kDeadlineExceeded) << status;
  }
}

TEST_F(HttpClientTest, ARedirectInACircleEnds) {
  HttpTestServer server([](const auto&) { return RedirectTo(302, "/"); });
  const Result result = Send(Get(server.Url()));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server.request_count(), 6u);
}

// --- connections

TEST_F(HttpClientTest, RequestsInARowShareOneConnection) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Send(Get(server.Url())).ok());
  EXPECT_EQ(server.connection_count(), 1u);
}

TEST_F(HttpClientTest, AKeptConnectionThatWasClosedIsReplaced) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  for (size_t i = 1; i <= 5; ++i) {
    const Result result = Send(Get(server.Url()));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(server.connection_count(), i);
    server.CloseConnections();
  }
}

TEST_F(HttpClientTest, ManyRequestsAtOnceQueueForTheConnections) {
  HttpTestServer server([](const auto& request) { return Answer(request.target); });
  MakeClient({.tls = {}, .connections_per_host = 8});
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 1000; ++i) results.push_back(Start(Get(server.Url(Format("/{}", i)))));
  for (int i = 0; i < 1000; ++i) {
    const Result result = results[i].get();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->body.ExposeAsText(), Format("/{}", i));
  }
  EXPECT_EQ(server.request_count(), 1000u);
  EXPECT_LE(server.connection_count(), 8u);
  EXPECT_LE(server.most_at_once(), 8u);
}

TEST_F(HttpClientTest, TwoHundredRequestsAtOnce) {
  HttpTestServer server([](const auto& request) {
    auto response = Answer(request.target);
    response.delay = milliseconds(5);
    return response;
  });
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 200; ++i) results.push_back(Start(Get(server.Url(Format("/{}", i)))));
  for (int i = 0; i < 200; ++i) {
    const Result result = results[i].get();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->body.ExposeAsText(), Format("/{}", i));
  }
  EXPECT_GT(server.most_at_once(), 1u);
  EXPECT_LE(server.connection_count(), 32u);
}

asio::awaitable<void> SendInARow(HttpClient& client, std::string url, int count, int* good) {
  for (int i = 0; i < count; ++i) {
    HttpRequest request;
    request.url = url;
    const absl::StatusOr<HttpResponse> result = co_await client.Send(std::move(request));
    if (result.ok()) ++*good;
  }
}

TEST_F(HttpClientTest, ACoroutineMaySendAgainFromWhereItWasResumed) {
  HttpTestServer server([](const auto&) { return Answer(""); });
  MakeClient();
  int good[10] = {};
  std::vector<std::future<void>> done;
  for (int& count : good) {
    done.push_back(asio::co_spawn(io_.context(), SendInARow(*client_, server.Url(), 50, &count),
                                  asio::use_future));
  }
  for (auto& future : done) future.get();
  EXPECT_THAT(good, testing::Each(50));
}

// --- ending early

TEST_F(HttpClientTest, DestroyingTheClientCancelsWhatIsUnderWay) {
  HttpTestServer server([](const auto&) {
    auto response = Answer("");
    response.hold = true;
    return response;
  });
  MakeClient({.tls = {}, .connections_per_host = 2});
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 5; ++i) results.push_back(Start(Get(server.Url())));
  ASSERT_TRUE(server.WaitForRequests(2));
  DestroyClient();
  for (auto& future : results) {
    EXPECT_EQ(future.get().status().code(), absl::StatusCode::kCancelled);
  }
}

// Owns the client, and drops it as soon as its first answer is there, while others wait.
TEST_F(HttpClientTest, AConnectionGivenUpWhileConnectingTakesNobodyElsesDescriptorAlong) {
  const HttpTestServer server([](const HttpTestServer::Request&) { return Answer(""); });
  for (int round = 0; round < 20; ++round) {
    MakeClient();
    int descriptors[8] = {};
    std::future<Result> sent;
    // In one turn of the I/O thread: a connection is begun and given up, and its number is free for
    // whoever opens something next.
    io_.RunAndWait([&] {
      sent = Start(Get(server.Url()));
      client_.reset();
      for (int& descriptor : descriptors) descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    });
    (void)sent.get();
    for (int turn = 0; turn < 5; ++turn) io_.RunAndWait([] {});
    for (const int descriptor : descriptors) {
      EXPECT_EQ(::fcntl(descriptor, F_GETFD), FD_CLOEXEC) << "closed by somebody else";
      ::close(descriptor);
    }
  }
}

asio::awaitable<void> SendAndDestroy(std::unique_ptr<HttpClient> client, std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  const absl::StatusOr<HttpResponse> result = co_await client->Send(std::move(request));
  EXPECT_TRUE(result.ok());
  client.reset();
}

TEST_F(HttpClientTest, TheClientMayBeDestroyedByTheCoroutineItResumes) {
  HttpTestServer server([](const auto& request) {
    auto response = Answer("");
    response.hold = request.target == "/held";
    return response;
  });
  MakeClient();
  std::future<Result> held = Start(Get(server.Url("/held")));
  ASSERT_TRUE(server.WaitForRequests(1));
  asio::co_spawn(io_.context(), SendAndDestroy(std::move(client_), server.Url()), asio::use_future)
      .get();
  EXPECT_EQ(held.get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(HttpClientTest, CancellingTheCoroutineCancelsTheTransfer) {
  HttpTestServer server([](const auto& request) {
    auto response = Answer("");
    response.hold = request.target == "/held";
    return response;
  });
  MakeClient({.tls = {}, .connections_per_host = 1});
  for (int i = 0; i < 3; ++i) {
    asio::cancellation_signal signal;
    std::promise<absl::Status> done;
    io_.RunAndWait([&] {
      asio::co_spawn(
          io_.context(), client_->Send(Get(server.Url("/held"))),
          asio::bind_cancellation_slot(
              signal.slot(), [&done](std::exception_ptr exception, Result result) {
                done.set_value(exception ? absl::InternalError("exception") : result.status());
              }));
    });
    ASSERT_TRUE(server.WaitForRequests(i * 2 + 1));
    io_.RunAndWait([&] { signal.emit(asio::cancellation_type::terminal); });
    EXPECT_EQ(done.get_future().get().code(), absl::StatusCode::kCancelled);
    // The only connection is free again.
    EXPECT_TRUE(Send(Get(server.Url("/other"))).ok());
  }
}

TEST_F(HttpClientTest, AContextWithoutWorkEnds) {
  HttpTestServer server([](const auto&) { return Answer("x"); });
  asio::io_context context;
  HttpClient client(context, clock_, {});
  for (int i = 0; i < 3; ++i) {
    bool good = false;
    asio::co_spawn(context, client.Send(Get(server.Url(), std::chrono::hours(1))),
                   [&](std::exception_ptr, const Result& result) { good = result.ok(); });
    context.run();
    context.restart();
    EXPECT_TRUE(good);
  }
  EXPECT_EQ(server.connection_count(), 1u);
}

// --- nothing secret in messages

TEST_F(HttpClientTest, HeadersQueryAndBodyAreNeverInAMessage) {
  HttpTestServer server([](const auto& request) {
    auto response = Answer(std::string(kPlanted) + std::string(5000, 'x'));
    if (request.target.starts_with("/cut")) response.cut_after = 2000;
    if (request.target.starts_with("/hold")) response.hold = true;
    if (request.target.starts_with("/away")) {
      return RedirectTo(302, Format("http://127.0.0.2/?{}", kPlanted));
    }
    if (request.target.starts_with("/nonsense")) {
      response.raw = Format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", kPlanted);
    }
    return response;
  });
  const RefusingPort refusing;
  const std::vector<std::string> urls = {server.Url("/cut"),
                                         server.Url("/hold"),
                                         server.Url("/away"),
                                         server.Url("/nonsense"),
                                         server.Url("/large"),
                                         refusing.Url(),
                                         "http://no-such-host.invalid/",
                                         Format("http://user:{}@127.0.0.1/", kPlanted)};
  for (const std::string& url : urls) {
    HttpRequest request = WithBody(Get(url + Format("?token={0}#{0}", kPlanted), milliseconds(300)),
                                   "POST", kPlanted);
    request.headers.emplace_back("X-Vault-Token", SecretBytes::CopyOf(kPlanted));
    request.body_limit = 3000;
    const Result result = Send(std::move(request));
    ASSERT_FALSE(result.ok()) << url;
    EXPECT_FALSE(Contains(result.status().ToString(), kPlanted)) << result.status();
  }
}

}  // namespace
}  // namespace secretfs::providers
