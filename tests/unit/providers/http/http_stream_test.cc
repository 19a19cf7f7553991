#include <algorithm>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/providers/http/http_client_fixture.h"

namespace secretfs::providers {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kChunkedHead[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n";

std::string Chunk(const std::string& text) { return Format("{:x}\r\n{}\r\n", text.size(), text); }

HttpTestServer::Response InPieces(std::vector<std::string> pieces,
                                  std::string head = kChunkedHead) {
  HttpTestServer::Response response;
  response.raw = std::move(head);
  response.later = std::move(pieces);
  return response;
}

class HttpStreamTest : public HttpClientTest {
 protected:
  using Stream = std::unique_ptr<HttpStream>;

  absl::StatusOr<Stream> Open(HttpRequest request, HttpStreamOptions options = {}) {
    if (client_ == nullptr) MakeClient();
    return asio::co_spawn(io_.context(), client_->Stream(std::move(request), options),
                          asio::use_future)
        .get();
  }
  std::future<absl::StatusOr<SecretBytes>> StartNext(Stream& stream) {
    return asio::co_spawn(io_.context(), stream->Next(), asio::use_future);
  }
  // The bytes as text, "(end)", or the code of the failure.
  static std::string Shown(const absl::StatusOr<SecretBytes>& bytes) {
    if (!bytes.ok()) return absl::StatusCodeToString(bytes.status().code());
    return bytes->empty() ? "(end)" : std::string(bytes->ExposeAsText());
  }
  std::string Next(Stream& stream) { return Shown(StartNext(stream).get()); }
  void Drop(Stream& stream) {
    io_.RunAndWait([&stream] { stream.reset(); });
  }
};

TEST_F(HttpStreamTest, HandsOutPiecesAsTheyComeAndThenTheEnd) {
  HttpTestServer server([](const auto& request) {
    return request.target == "/again" ? Answer("again")
                                      : InPieces({Chunk("one"), Chunk("two"), "0\r\n\r\n"});
  });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ((*stream)->status(), 200);
  EXPECT_EQ((*stream)->headers().find("x-a")->second, "b");
  auto first = StartNext(*stream);
  EXPECT_EQ(first.wait_for(milliseconds(50)), std::future_status::timeout);
  server.SendNext();
  EXPECT_EQ(Shown(first.get()), "one");
  server.SendNext();
  EXPECT_EQ(Next(*stream), "two");
  server.SendNext();
  EXPECT_EQ(Next(*stream), "(end)");
  EXPECT_EQ(Next(*stream), "(end)");
  Drop(*stream);
  // The connection is kept: nothing of the stream is left on it.
  EXPECT_TRUE(Send(Get(server.Url("/again"))).ok());
  EXPECT_EQ(server.connection_count(), 1u);
}

TEST_F(HttpStreamTest, AnAnswerOfAnyStatusIsAStream) {
  HttpTestServer server([](const auto&) { return Answer("not here", 404); });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ((*stream)->status(), 404);
  EXPECT_EQ(Next(*stream), "not here");
  EXPECT_EQ(Next(*stream), "(end)");
  Drop(*stream);
}

TEST_F(HttpStreamTest, InterimAnswersAreNotTheHead) {
  HttpTestServer server([](const auto&) {
    return InPieces({Chunk("x"), "0\r\n\r\n"},
                    Format("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n{}", kChunkedHead));
  });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ((*stream)->status(), 200);
  EXPECT_FALSE((*stream)->headers().contains("link"));
  Drop(*stream);
}

TEST_F(HttpStreamTest, TheRequestsDeadlineIsForTheHead) {
  HttpTestServer server([](const auto&) {
    HttpTestServer::Response response;
    response.hold = true;
    return response;
  });
  EXPECT_EQ(Open(Get(server.Url(), milliseconds(50))).status().code(),
            StatusCode::kDeadlineExceeded);
  server.Release();
}

TEST_F(HttpStreamTest, ADeadlineThatPassesAfterTheHeadDoesNotMatter) {
  HttpTestServer server([](const auto&) { return InPieces({Chunk("late")}); });
  auto stream = Open(Get(server.Url(), milliseconds(500)));
  ASSERT_TRUE(stream.ok()) << stream.status();
  auto next = StartNext(*stream);
  EXPECT_EQ(next.wait_for(milliseconds(700)), std::future_status::timeout);
  server.SendNext();
  EXPECT_EQ(Shown(next.get()), "late");
  Drop(*stream);
}

TEST_F(HttpStreamTest, SilenceEndsIt) {
  HttpTestServer server([](const auto&) { return InPieces({Chunk("one"), Chunk("two")}); });
  auto stream = Open(Get(server.Url()), {.idle_limit = milliseconds(300)});
  ASSERT_TRUE(stream.ok()) << stream.status();
  server.SendNext();
  EXPECT_EQ(Next(*stream), "one");
  const absl::StatusOr<SecretBytes> silence = StartNext(*stream).get();
  EXPECT_EQ(silence.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Contains(MessageOf(silence.status()), "sent nothing for 300 ms"));
  Drop(*stream);
  server.SendNext();
}

TEST_F(HttpStreamTest, ACutConnectionIsAFailureAfterWhatHadCome) {
  HttpTestServer server([](const auto&) { return InPieces({Chunk("one"), Chunk("two")}); });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  server.SendNext();
  EXPECT_EQ(Next(*stream), "one");
  server.CloseConnections();
  EXPECT_EQ(Next(*stream), "UNAVAILABLE");
  EXPECT_EQ(Next(*stream), "UNAVAILABLE");
  Drop(*stream);
  server.SendNext();
}

TEST_F(HttpStreamTest, NoServerIsAFailure) {
  uint16_t port = 0;
  {
    port = HttpTestServer([](const auto&) { return Answer(""); }).port();
  }
  EXPECT_EQ(Open(Get(Format("http://127.0.0.1:{}/", port))).status().code(),
            StatusCode::kUnavailable);
}

TEST_F(HttpStreamTest, DroppingItEndsTheRequestAtTheServer) {
  HttpTestServer server([](const auto& request) {
    return request.target == "/other" ? Answer("other") : InPieces({Chunk("never")});
  });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  Drop(*stream);
  // HTTP/1.1 can end a request only with its connection.
  EXPECT_TRUE(Send(Get(server.Url("/other"))).ok());
  EXPECT_EQ(server.connection_count(), 2u);
  server.SendNext();
}

TEST_F(HttpStreamTest, EndsWithItsClientAndMayOutliveIt) {
  HttpTestServer server([](const auto&) { return InPieces({Chunk("never")}); });
  auto stream = Open(Get(server.Url()));
  ASSERT_TRUE(stream.ok()) << stream.status();
  auto next = StartNext(*stream);
  EXPECT_EQ(next.wait_for(milliseconds(20)), std::future_status::timeout);
  DestroyClient();
  EXPECT_EQ(Shown(next.get()), "CANCELLED");
  EXPECT_EQ(Next(*stream), "CANCELLED");
  Drop(*stream);
  server.SendNext();
}

// Opens a stream and reads it to its end.
asio::awaitable<absl::Status> ReadAll(HttpClient* client, std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      co_await client->Stream(std::move(request), HttpStreamOptions());
  if (!stream.ok()) co_return stream.status();
  for (;;) {
    const absl::StatusOr<SecretBytes> bytes = co_await (*stream)->Next();
    if (!bytes.ok()) co_return bytes.status();
    if (bytes->empty()) co_return absl::OkStatus();
  }
}

TEST_F(HttpStreamTest, ACancelledReaderLeavesAtOnceBeforeAndAfterTheHead) {
  HttpTestServer server([](const auto& request) {
    HttpTestServer::Response held;
    held.hold = true;
    return request.target == "/held" ? held : InPieces({Chunk("never")});
  });
  MakeClient();
  size_t requests = 0;
  for (const char* target : {"/held", "/stream"}) {
    asio::cancellation_signal signal;
    auto done = std::make_shared<std::promise<absl::Status>>();
    asio::co_spawn(io_.context(), ReadAll(client_.get(), server.Url(target)),
                   asio::bind_cancellation_slot(
                       signal.slot(), [done](const std::exception_ptr&, absl::Status status) {
                         done->set_value(std::move(status));
                       }));
    ASSERT_TRUE(server.WaitForRequests(++requests));
    auto result = done->get_future();
    EXPECT_EQ(result.wait_for(milliseconds(50)), std::future_status::timeout);
    io_.RunAndWait([&signal] { signal.emit(asio::cancellation_type::terminal); });
    ASSERT_EQ(result.wait_for(seconds(10)), std::future_status::ready) << target;
    EXPECT_EQ(result.get().code(), StatusCode::kCancelled) << target;
  }
  server.Release();
  server.SendNext();
}

TEST_F(HttpStreamTest, AServerThatIsFasterThanTheReaderIsMadeToWait) {
  // More than what the kernel's socket buffers and the stream's own take together.
  const std::string large(size_t{24} << 20, 'x');
  HttpTestServer server([&](const auto&) { return Answer(large); });
  auto stream = Open(Get(server.Url()), {.buffer_limit = 64 << 10});
  ASSERT_TRUE(stream.ok()) << stream.status();
  size_t read = 0, largest = 0;
  for (;;) {
    const absl::StatusOr<SecretBytes> bytes = StartNext(*stream).get();
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    if (bytes->empty()) break;
    read += bytes->size();
    largest = std::max(largest, bytes->size());
  }
  EXPECT_EQ(read, large.size());
  EXPECT_LE(largest, size_t{64 << 10} + (512 << 10));  // one piece of curl's at most above
  Drop(*stream);
}

TEST_F(HttpStreamTest, AReaderThatPausesLongerThanTheIdleLimitIsNotBlamedOnTheServer) {
  const std::string large(size_t{24} << 20, 'x');
  HttpTestServer server([&](const auto&) { return Answer(large); });
  auto stream =
      Open(Get(server.Url()), {.idle_limit = milliseconds(200), .buffer_limit = 64 << 10});
  ASSERT_TRUE(stream.ok()) << stream.status();
  std::this_thread::sleep_for(milliseconds(600));  // the pause that this is about
  size_t read = 0;
  for (;;) {
    const absl::StatusOr<SecretBytes> bytes = StartNext(*stream).get();
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    if (bytes->empty()) break;
    read += bytes->size();
  }
  EXPECT_EQ(read, large.size());
  Drop(*stream);
}

}  // namespace
}  // namespace secretfs::providers
