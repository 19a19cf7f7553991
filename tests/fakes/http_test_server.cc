#include "tests/fakes/http_test_server.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cstdlib>
#include <string_view>

#include "absl/time/time.h"
#include "base/text.h"

namespace secretfs::fakes {
namespace {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;

tcp::socket& SocketOf(tcp::socket& socket) { return socket; }
tcp::socket& SocketOf(TlsStream& stream) { return stream.next_layer(); }

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// Fills method, target and headers from the bytes up to the empty line.
void ParseHead(std::string_view head, HttpTestServer::Request& request) {
  std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = line.rfind(' ');
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  request.headers.clear();
  for (size_t at = line.size() + 2; at < head.size(); at += line.size() + 2) {
    line = head.substr(at, head.find("\r\n", at) - at);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    request.headers.emplace(LowerCase(line.substr(0, colon)), Trim(line.substr(colon + 1)));
  }
}

std::string BodyOf(const HttpTestServer::Response& response) {
  if (!response.chunked) return response.body;
  std::string result;
  constexpr size_t kChunk = 1000;
  for (size_t at = 0; at < response.body.size(); at += kChunk) {
    const std::string piece = response.body.substr(at, kChunk);
    result += Format("{:x}\r\n{}\r\n", piece.size(), piece);
  }
  return result + "0\r\n\r\n";
}

bool HasNoBody(const HttpTestServer::Request& request, int status) {
  return request.method == "HEAD" || status == 204 || status == 304;
}

std::string Serialize(const HttpTestServer::Request& request,
                      const HttpTestServer::Response& response) {
  if (!response.raw.empty()) return response.raw;
  std::string text = Format("HTTP/1.1 {} Test\r\n", response.status);
  for (const auto& [name, value] : response.headers) text += Format("{}: {}\r\n", name, value);
  if (response.close) text += "Connection: close\r\n";
  if (response.chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  } else if (response.status != 204 && response.status != 304) {
    text += Format("Content-Length: {}\r\n", response.body.size());
  }
  text += "\r\n";
  if (HasNoBody(request, response.status)) return text;
  return text + BodyOf(response).substr(0, response.cut_after.value_or(std::string::npos));
}

}  // namespace

std::string HttpTestServer::Request::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

HttpTestServer::HttpTestServer(Handler handler, std::optional<Tls> tls)
    : handler_(std::move(handler)),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
  port_ = acceptor_.local_endpoint().port();
  if (tls.has_value()) {
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->use_certificate_chain(asio::buffer(tls->identity.certificate));
    tls_->use_private_key(asio::buffer(tls->identity.key), asio::ssl::context::pem);
    if (!tls->client_authority.empty()) {
      tls_->add_certificate_authority(asio::buffer(tls->client_authority));
      tls_->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
    }
  }
  asio::co_spawn(context_, Accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

HttpTestServer::~HttpTestServer() {
  context_.stop();
  thread_.join();
  // Before the context, which ends the coroutines that share them.
  held_.clear();
  waits_to_send_.reset();
}

std::string HttpTestServer::Url(const std::string& target) const {
  return Format("{}://127.0.0.1:{}{}", tls_.has_value() ? "https" : "http", port_, target);
}

void HttpTestServer::Release() {
  asio::post(context_, [this] {
    released_ = true;
    for (const auto& timer : held_) timer->cancel();
    held_.clear();
  });
}

void HttpTestServer::CloseConnections() {
  asio::post(context_, [this] {
    asio::error_code error;
    for (const auto& [number, socket] : open_) socket->close(error);
  });
}

std::vector<HttpTestServer::Request> HttpTestServer::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

size_t HttpTestServer::connection_count() const {
  absl::MutexLock lock(&mutex_);
  return connections_;
}

size_t HttpTestServer::most_at_once() const {
  absl::MutexLock lock(&mutex_);
  return most_at_once_;
}

bool HttpTestServer::WaitForRequests(size_t count) const {
  absl::MutexLock lock(&mutex_);
  while (requests_.size() < count) {
    if (request_came_.WaitWithTimeout(&mutex_, absl::Seconds(10))) return false;
  }
  return true;
}

asio::awaitable<void> HttpTestServer::Accept() {
  for (;;) {
    tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::error_code error;
    socket.set_option(tcp::no_delay(true), error);
    Request prototype;
    {
      absl::MutexLock lock(&mutex_);
      prototype.connection = ++connections_;
    }
    if (tls_.has_value()) {
      asio::awaitable<void> serving = StartTls(std::move(socket), std::move(prototype));
      asio::co_spawn(context_, std::move(serving), asio::detached);
    } else {
      auto stream = std::make_shared<tcp::socket>(std::move(socket));
      asio::awaitable<void> serving = Serve(std::move(stream), std::move(prototype));
      asio::co_spawn(context_, std::move(serving), asio::detached);
    }
  }
}

asio::awaitable<void> HttpTestServer::StartTls(tcp::socket socket, Request prototype) {
  auto stream = std::make_shared<TlsStream>(std::move(socket), *tls_);
  asio::error_code error;
  co_await stream->async_handshake(asio::ssl::stream_base::server,
                                   asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  const char* name = SSL_get_servername(stream->native_handle(), TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) prototype.server_name = name;
  asio::awaitable<void> serving = Serve(std::move(stream), std::move(prototype));
  co_await std::move(serving);
}

void HttpTestServer::SendNext() {
  asio::post(context_, [this] {
    ++to_send_;
    if (waits_to_send_ != nullptr) waits_to_send_->cancel();
  });
}

asio::awaitable<void> HttpTestServer::WaitForSendNext() {
  if (to_send_ == 0) {
    waits_to_send_ = std::make_shared<asio::steady_timer>(
        context_, std::chrono::steady_clock::time_point::max());
    asio::error_code error;
    co_await waits_to_send_->async_wait(asio::redirect_error(asio::use_awaitable, error));
    waits_to_send_.reset();
  }
  if (to_send_ > 0) --to_send_;
}

asio::awaitable<void> HttpTestServer::WaitBeforeAnswer(std::chrono::milliseconds delay, bool hold) {
  asio::error_code error;
  if (hold && !released_) {
    auto timer = std::make_shared<asio::steady_timer>(context_,
                                                      std::chrono::steady_clock::time_point::max());
    held_.push_back(timer);
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
  if (delay.count() > 0) {
    asio::steady_timer timer(context_, delay);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

template <typename Stream>
asio::awaitable<void> HttpTestServer::Serve(std::shared_ptr<Stream> stream, Request prototype) {
  open_[prototype.connection] = &SocketOf(*stream);
  std::string buffer;
  for (;;) {
    asio::error_code error;
    const size_t head =
        co_await asio::async_read_until(*stream, asio::dynamic_buffer(buffer), "\r\n\r\n",
                                        asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    Request request = prototype;
    ParseHead(std::string_view(buffer).substr(0, head), request);
    buffer.erase(0, head);
    const size_t length = strtoull(request.header("content-length").c_str(), nullptr, 10);
    if (buffer.size() < length) {
      const size_t missing = length - buffer.size();
      co_await asio::async_read(*stream, asio::dynamic_buffer(buffer),
                                asio::transfer_exactly(missing),
                                asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    {
      absl::MutexLock lock(&mutex_);
      requests_.push_back(request);
      most_at_once_ = std::max(most_at_once_, ++in_work_);
      request_came_.SignalAll();
    }
    const Response response = handler_(request);
    co_await WaitBeforeAnswer(response.delay, response.hold);
    {
      absl::MutexLock lock(&mutex_);
      --in_work_;
    }
    const std::string text = Serialize(request, response);
    co_await asio::async_write(*stream, asio::buffer(text),
                               asio::redirect_error(asio::use_awaitable, error));
    for (const std::string& piece : response.later) {
      if (error) break;
      co_await WaitForSendNext();
      co_await asio::async_write(*stream, asio::buffer(piece),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
    if (error || response.close || response.cut_after.has_value()) break;
  }
  open_.erase(prototype.connection);
  asio::error_code ignored;
  SocketOf(*stream).shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace secretfs::fakes
