#include "tests/fakes/fault_proxy.h"

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/connect.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/text.h"

namespace secretfs::fakes {
namespace {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;

constexpr size_t kPiece = 16384;
constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

using Headers = std::vector<std::pair<std::string, std::string>>;

// The first line and the headers of a message's head.
std::string ParseProxiedHead(std::string_view head, Headers& headers) {
  std::string_view line = head.substr(0, head.find("\r\n"));
  const std::string first(line);
  for (size_t at = line.size() + 2; at < head.size(); at += line.size() + 2) {
    line = head.substr(at, head.find("\r\n", at) - at);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    headers.emplace_back(line.substr(0, colon), Trim(line.substr(colon + 1)));
  }
  return first;
}

bool IsOneOf(const std::string& name, std::initializer_list<std::string_view> names) {
  const std::string lower = LowerCase(name);
  return std::find(names.begin(), names.end(), lower) != names.end();
}

std::string WithoutChunks(std::string_view coded) {
  std::string body;
  for (;;) {
    const size_t line = coded.find("\r\n");
    size_t size = 0;
    if (line == std::string_view::npos) return body;
    std::from_chars(coded.data(), coded.data() + line, size, 16);
    if (size == 0 || line + 2 + size > coded.size()) return body;
    body += coded.substr(line + 2, size);
    coded.remove_prefix(std::min(coded.size(), line + 2 + size + 2));
  }
}

FaultProxy::Reply ParseReply(std::string_view message) {
  FaultProxy::Reply reply;
  Headers headers;
  const size_t head = message.find(kEndOfHead);
  const std::string first = ParseProxiedHead(message.substr(0, head + 2), headers);
  reply.status = std::atoi(first.c_str() + std::min(first.size(), first.find(' ') + 1));
  reply.body = message.substr(std::min(message.size(), head + kEndOfHead.size()));
  for (auto& [name, value] : headers) {
    if (IsOneOf(name, {"transfer-encoding"})) {
      reply.body = WithoutChunks(std::string(reply.body));
    } else if (!IsOneOf(name, {"content-length", "connection", "keep-alive"})) {
      reply.headers.emplace_back(name, value);
    }
  }
  return reply;
}

}  // namespace

// One end of the wire, plain or TLS.
class FaultProxy::Connection {
 public:
  explicit Connection(tcp::socket socket)
      : plain_(std::make_unique<tcp::socket>(std::move(socket))) {}
  Connection(tcp::socket socket, asio::ssl::context& context)
      : tls_(std::make_unique<TlsStream>(std::move(socket), context)) {}

  tcp::socket& socket() { return tls_ != nullptr ? tls_->next_layer() : *plain_; }

  asio::awaitable<bool> Handshake(asio::ssl::stream_base::handshake_type type) {
    asio::error_code error;
    if (tls_ != nullptr) {
      co_await tls_->async_handshake(type, asio::redirect_error(asio::use_awaitable, error));
    }
    co_return !error;
  }

  // More bytes of the peer; empty at the end.
  asio::awaitable<std::string> Read() {
    std::string bytes(kPiece, '\0');
    asio::error_code error;
    size_t count = 0;
    const asio::mutable_buffer place = asio::buffer(bytes);
    if (tls_ != nullptr) {
      count =
          co_await tls_->async_read_some(place, asio::redirect_error(asio::use_awaitable, error));
    } else {
      count =
          co_await plain_->async_read_some(place, asio::redirect_error(asio::use_awaitable, error));
    }
    bytes.resize(error ? 0 : count);
    co_return bytes;
  }

  asio::awaitable<bool> Write(std::string bytes) {
    asio::error_code error;
    const asio::const_buffer place = asio::buffer(bytes);
    if (tls_ != nullptr) {
      co_await asio::async_write(*tls_, place, asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await asio::async_write(*plain_, place, asio::redirect_error(asio::use_awaitable, error));
    }
    co_return !error;
  }

  void Close() {
    asio::error_code ignored;
    socket().shutdown(tcp::socket::shutdown_both, ignored);
    socket().close(ignored);
  }

  std::string buffer;  // what was read beyond the message so far

 private:
  // One of the two.
  std::unique_ptr<tcp::socket> plain_;
  std::unique_ptr<TlsStream> tls_;
};

std::string FaultProxy::Request::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

bool FaultProxy::Request::Mentions(const std::string& text) const {
  if (target.find(text) != std::string::npos || body.find(text) != std::string::npos) return true;
  return std::any_of(headers.begin(), headers.end(), [&text](const auto& header) {
    return header.second.find(text) != std::string::npos;
  });
}

FaultProxy::FaultProxy(const std::string& server, std::optional<CertificateAndKey> identity)
    : server_(server),
      client_tls_(asio::ssl::context::tls_client),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
  port_ = acceptor_.local_endpoint().port();
  if (identity.has_value()) {
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->use_certificate_chain(asio::buffer(identity->certificate));
    tls_->use_private_key(asio::buffer(identity->key), asio::ssl::context::pem);
  }
  asio::co_spawn(context_, Accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

FaultProxy::~FaultProxy() {
  context_.stop();
  thread_.join();
  held_.clear();  // before the context, which ends the coroutines that share them
}

std::string FaultProxy::address() const {
  return Format("{}://127.0.0.1:{}", tls_.has_value() ? "https" : "http", port_);
}

void FaultProxy::AddRule(Rule rule) {
  absl::MutexLock lock(&mutex_);
  rules_.push_back(std::move(rule));
}

void FaultProxy::ClearRules() {
  absl::MutexLock lock(&mutex_);
  rules_.clear();
}

void FaultProxy::Release() {
  asio::post(context_, [this] {
    released_ = true;
    for (const auto& timer : held_) timer->cancel();
    held_.clear();
  });
}

std::vector<FaultProxy::Request> FaultProxy::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

size_t FaultProxy::connection_count() const {
  absl::MutexLock lock(&mutex_);
  return connections_;
}

FaultProxy::Fault FaultProxy::Choose(const Request& request) {
  std::vector<Rule> rules;
  {
    absl::MutexLock lock(&mutex_);
    requests_.push_back(request);
    rules = rules_;
  }
  for (const Rule& rule : rules) {
    if (std::optional<Fault> fault = rule(request)) return *std::move(fault);
  }
  return {};
}

FaultProxy::Upstream FaultProxy::ParseAddress(const std::string& address) {
  Upstream upstream;
  upstream.tls = address.starts_with("https://");
  const size_t scheme = address.find("://");
  std::string rest = scheme == std::string::npos ? address : address.substr(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  const size_t colon = rest.rfind(':');
  upstream.host = rest.substr(0, colon);
  upstream.port =
      colon == std::string::npos ? (upstream.tls ? "443" : "80") : rest.substr(colon + 1);
  return upstream;
}

asio::awaitable<void> FaultProxy::Accept() {
  for (;;) {
    tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::error_code error;
    socket.set_option(tcp::no_delay(true), error);
    {
      absl::MutexLock lock(&mutex_);
      ++connections_;
    }
    ConnectionPtr client = tls_.has_value() ? std::make_shared<Connection>(std::move(socket), *tls_)
                                            : std::make_shared<Connection>(std::move(socket));
    asio::awaitable<void> serving = Serve(std::move(client));
    asio::co_spawn(context_, std::move(serving), asio::detached);
  }
}

asio::awaitable<void> FaultProxy::Serve(ConnectionPtr client) {
  const bool secure = co_await client->Handshake(asio::ssl::stream_base::server);
  if (!secure) co_return;
  for (;;) {
    const bool again = co_await ServeOne(client);
    if (!again) break;
  }
  client->Close();
}

// Reads one request and answers it. False: the connection is done.
asio::awaitable<bool> FaultProxy::ServeOne(ConnectionPtr client) {
  std::string& buffer = client->buffer;
  while (buffer.find(kEndOfHead) == std::string::npos) {
    const std::string more = co_await client->Read();
    if (more.empty()) co_return false;
    buffer += more;
  }
  const size_t head = buffer.find(kEndOfHead) + kEndOfHead.size();
  Request request;
  Headers headers;
  const std::string first = ParseProxiedHead(std::string_view(buffer).substr(0, head - 2), headers);
  request.method = first.substr(0, first.find(' '));
  request.target = first.substr(first.find(' ') + 1, first.rfind(' ') - first.find(' ') - 1);
  for (const auto& [name, value] : headers) request.headers.emplace(LowerCase(name), value);
  buffer.erase(0, head);
  if (request.method == "CONNECT") {
    (void)Choose(request);
    co_await Tunnel(client, request.target);
    co_return false;
  }
  const size_t length = std::strtoull(request.header("content-length").c_str(), nullptr, 10);
  if (LowerCase(request.header("expect")) == "100-continue") {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await client->Write(std::move(go_on));
  }
  while (buffer.size() < length) {
    const std::string more = co_await client->Read();
    if (more.empty()) co_return false;
    buffer += more;
  }
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  co_await Answer(client, std::move(request));
  co_return false;
}

asio::awaitable<void> FaultProxy::Answer(ConnectionPtr client, Request request) {
  Fault fault = Choose(request);
  if (fault.instead.has_value()) {
    Reply reply = *fault.instead;
    co_await WaitBeforeAnswer(fault);
    co_await SendReply(client, std::move(reply), std::move(fault), request.method == "HEAD");
    co_return;
  }
  Upstream upstream = ParseAddress(server_);
  std::string target = request.target;
  if (target.find("://") != std::string::npos && !target.starts_with('/')) {
    upstream = ParseAddress(target);
    const size_t path = target.find('/', target.find("://") + 3);
    target = path == std::string::npos ? "/" : target.substr(path);
  }
  const ConnectionPtr server = co_await Connect(upstream);
  if (server == nullptr) {
    Reply reply{.status = 502};
    co_await SendReply(client, std::move(reply), std::move(fault), false);
    co_return;
  }
  std::string message = Format("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, target);
  for (const auto& [name, value] : request.headers) {
    if (IsOneOf(name, {"connection", "proxy-connection", "keep-alive", "expect"})) continue;
    message += Format("{}: {}\r\n", name, value);
  }
  message += "\r\n" + request.body;
  co_await server->Write(std::move(message));
  co_await PassOn(server, client, std::move(fault));
  server->Close();
}

asio::awaitable<FaultProxy::ConnectionPtr> FaultProxy::Connect(Upstream upstream) {
  asio::error_code error;
  tcp::resolver resolver(context_);
  const auto places = co_await resolver.async_resolve(
      upstream.host, upstream.port, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return nullptr;
  tcp::socket socket(context_);
  co_await asio::async_connect(socket, places, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return nullptr;
  socket.set_option(tcp::no_delay(true), error);
  ConnectionPtr server = upstream.tls ? std::make_shared<Connection>(std::move(socket), client_tls_)
                                      : std::make_shared<Connection>(std::move(socket));
  const bool secure = co_await server->Handshake(asio::ssl::stream_base::client);
  if (!secure) co_return nullptr;
  co_return server;
}

// The server's answer until its connection ends.
asio::awaitable<void> FaultProxy::PassOn(ConnectionPtr server, ConnectionPtr client, Fault fault) {
  std::string message;
  bool at_end = false;
  while (message.find(kEndOfHead) == std::string::npos || fault.change) {
    const std::string more = co_await server->Read();
    at_end = more.empty();
    if (at_end) break;
    message += more;
  }
  if (message.empty()) co_return;
  co_await WaitBeforeAnswer(fault);
  if (fault.change) {
    Reply reply = ParseReply(message);
    fault.change(reply);
    co_await SendReply(client, std::move(reply), std::move(fault), false);
    co_return;
  }
  const size_t head = message.find(kEndOfHead) + kEndOfHead.size();
  std::string body = message.substr(head);
  message.resize(head);
  bool open = co_await client->Write(std::move(message));
  size_t sent = 0;
  while (open && !at_end) {
    const size_t size = body.size();
    open = co_await SendBody(client, std::move(body), fault, sent);
    sent += size;
    if (!open) break;
    body = co_await server->Read();
    at_end = body.empty();
  }
}

asio::awaitable<void> FaultProxy::SendReply(ConnectionPtr client, Reply reply, Fault fault,
                                            bool head_only) {
  std::string head = Format("HTTP/1.1 {} Proxied\r\nConnection: close\r\n", reply.status);
  for (const auto& [name, value] : reply.headers) head += Format("{}: {}\r\n", name, value);
  head += Format("Content-Length: {}\r\n\r\n", reply.body.size());
  const bool open = co_await client->Write(std::move(head));
  if (open && !head_only) co_await SendBody(client, std::move(reply.body), std::move(fault), 0);
}

// `sent` bytes of the body went before these. False: the connection is to end.
asio::awaitable<bool> FaultProxy::SendBody(ConnectionPtr client, std::string bytes, Fault fault,
                                           size_t sent) {
  const auto rest = [sent](size_t limit) { return limit > sent ? limit - sent : 0; };
  if (fault.cut_after.has_value() && rest(*fault.cut_after) <= bytes.size()) {
    bytes.resize(rest(*fault.cut_after));
    co_await client->Write(std::move(bytes));
    co_return false;
  }
  if (fault.stall_after.has_value() && rest(*fault.stall_after) < bytes.size()) {
    std::string first = bytes.substr(0, rest(*fault.stall_after));
    bytes.erase(0, first.size());
    co_await client->Write(std::move(first));
    co_await WaitForRelease();
  }
  const bool open = co_await client->Write(std::move(bytes));
  co_return open;
}

asio::awaitable<void> FaultProxy::WaitBeforeAnswer(Fault fault) {
  if (fault.hold) co_await WaitForRelease();
  if (fault.delay.count() > 0) {
    asio::error_code error;
    asio::steady_timer timer(context_, fault.delay);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

asio::awaitable<void> FaultProxy::WaitForRelease() {
  if (released_) co_return;
  auto timer =
      std::make_shared<asio::steady_timer>(context_, std::chrono::steady_clock::time_point::max());
  held_.push_back(timer);
  asio::error_code error;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> FaultProxy::Tunnel(ConnectionPtr client, std::string authority) {
  Upstream upstream = ParseAddress(authority);
  ConnectionPtr server = co_await Connect(upstream);
  if (server == nullptr) {
    Reply reply{.status = 502};
    Fault fault;
    co_await SendReply(client, std::move(reply), std::move(fault), false);
    co_return;
  }
  std::string connected = "HTTP/1.1 200 Connected\r\n\r\n";
  co_await client->Write(std::move(connected));
  if (!client->buffer.empty()) co_await server->Write(std::move(client->buffer));
  asio::awaitable<void> there = Pump(client, server);
  asio::co_spawn(context_, std::move(there), asio::detached);
  co_await Pump(server, client);
}

asio::awaitable<void> FaultProxy::Pump(ConnectionPtr from, ConnectionPtr to) {
  for (;;) {
    std::string bytes = co_await from->Read();
    if (bytes.empty()) break;
    const bool open = co_await to->Write(std::move(bytes));
    if (!open) break;
  }
  from->Close();
  to->Close();
}

}  // namespace secretfs::fakes
