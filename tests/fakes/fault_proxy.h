#pragma once

// A proxy between a provider and its server, for tests: passes HTTP/1.1 on, byte by byte, and does
// to single answers what networks and broken servers do: late, stalled, cut off, replaced. Whoever
// it speaks to, plain or TLS on either side, so that every provider gets the same faults in the
// same way. It is also the proxy that a client takes from the environment: absolute targets and
// CONNECT are passed on to the server that they name.
//
// Each request travels on a connection of its own (the proxy asks the server to close it), so that
// an answer ends where the server's connection ends and needs no parsing. Streams (watches) pass
// as they come.
//
// Has a thread of its own, on which the rules run. All functions may be called from any thread.
// Reads no chunked request bodies; does not verify the server's certificate.

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/fakes/test_certificates.h"

namespace secretfs::fakes {

class FaultProxy {
 public:
  struct Request {
    std::string method;
    std::string target;                               // as the client wrote it
    std::multimap<std::string, std::string> headers;  // names in lower case
    std::string body;
    // "" when there is none.
    std::string header(const std::string& name) const;
    // True when the target, a header or the body holds `text`.
    bool Mentions(const std::string& text) const;
  };

  struct Reply {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};
  };

  // What happens to the answer of one request. Nothing set: it is passed on.
  struct Fault {
    std::optional<Reply> instead = {};  // the server is not asked
    // The server's answer, changed: its whole body (without chunked coding) and its status line.
    std::function<void(Reply&)> change = {};
    std::chrono::milliseconds delay{0};      // before the first byte
    bool hold = false;                       // no byte before Release
    std::optional<size_t> stall_after = {};  // bytes of the body; the rest after Release
    std::optional<size_t> cut_after = {};    // bytes of the body; then the connection ends
  };
  // Nothing: the next rule is asked.
  using Rule = std::function<std::optional<Fault>(const Request&)>;

  // `server` is http://HOST:PORT or https://HOST:PORT, or empty for a proxy of the environment
  // only. With `identity` clients must speak TLS.
  explicit FaultProxy(const std::string& server,
                      std::optional<CertificateAndKey> identity = std::nullopt);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  uint16_t port() const { return port_; }
  // http://127.0.0.1:PORT, or https.
  std::string address() const;

  // Rules are asked in order of their addition; the first that answers decides.
  void AddRule(Rule rule);
  void ClearRules();
  // What is held or stalled goes on, now and from now on.
  void Release();

  // In order of arrival; of a CONNECT only that itself.
  std::vector<Request> requests() const;
  size_t request_count() const { return requests().size(); }
  size_t connection_count() const;  // accepted so far, failed handshakes included

 private:
  class Connection;
  using ConnectionPtr = std::shared_ptr<Connection>;
  struct Upstream {
    bool tls = false;
    std::string host;
    std::string port;
  };

  static Upstream ParseAddress(const std::string& address);
  Fault Choose(const Request& request);
  asio::awaitable<void> Accept();
  asio::awaitable<void> Serve(ConnectionPtr client);
  asio::awaitable<bool> ServeOne(ConnectionPtr client);
  asio::awaitable<void> Answer(ConnectionPtr client, Request request);
  asio::awaitable<void> Tunnel(ConnectionPtr client, std::string authority);
  asio::awaitable<void> Pump(ConnectionPtr from, ConnectionPtr to);
  asio::awaitable<ConnectionPtr> Connect(Upstream upstream);
  asio::awaitable<void> PassOn(ConnectionPtr server, ConnectionPtr client, Fault fault);
  asio::awaitable<void> SendReply(ConnectionPtr client, Reply reply, Fault fault, bool head_only);
  asio::awaitable<bool> SendBody(ConnectionPtr client, std::string bytes, Fault fault, size_t sent);
  asio::awaitable<void> WaitBeforeAnswer(Fault fault);
  asio::awaitable<void> WaitForRelease();

  const std::string server_;
  std::optional<asio::ssl::context> tls_;
  asio::ssl::context client_tls_;

  mutable absl::Mutex mutex_;
  // --- protected by mutex_:
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<Rule> rules_ ABSL_GUARDED_BY(mutex_);
  size_t connections_ ABSL_GUARDED_BY(mutex_) = 0;

  // --- used on the proxy's thread only:
  std::vector<std::shared_ptr<asio::steady_timer>> held_;
  bool released_ = false;

  asio::io_context context_{1};
  asio::ip::tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace secretfs::fakes
