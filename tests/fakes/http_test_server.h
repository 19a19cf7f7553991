#pragma once

// An HTTP/1.1 server on the loopback interface for tests. A handler answers each request; an answer
// can be late, held until told, cut off in the middle, or any bytes at all. Records what was asked.
// Plain or TLS (tests/fakes/test_certificates.h makes the certificates).
//
// Has a thread of its own, on which the handler runs. All functions may be called from any thread.
// Speaks no HTTP/2 and reads no chunked request bodies.
//
// A client that takes its proxy from the environment needs no_proxy=127.0.0.1 there.

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

class HttpTestServer {
 public:
  struct Request {
    std::string method;
    std::string target;                               // path and query
    std::multimap<std::string, std::string> headers;  // names in lower case
    std::string body;
    size_t connection = 0;    // counted from 1
    std::string server_name;  // TLS only: as the client sent it (SNI)
    // "" when there is none.
    std::string header(const std::string& name) const;
  };

  struct Response {
    int status = 200;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::milliseconds delay{0};  // before the first byte
    bool hold = false;                   // no byte before Release
    bool chunked = false;                // instead of Content-Length
    bool close = false;                  // ends the connection afterwards, and says so
    std::optional<size_t> cut_after;     // ends the connection after so many bytes of the body
    std::string raw;                     // not empty: sent as it is, instead of all above
    std::vector<std::string> later;      // sent after that as they are, one at each SendNext
  };
  using Handler = std::function<Response(const Request&)>;

  struct Tls {
    CertificateAndKey identity;
    std::string client_authority;  // PEM. Not empty: clients must show a certificate signed by it
  };

  explicit HttpTestServer(Handler handler, std::optional<Tls> tls = std::nullopt);
  ~HttpTestServer();
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;

  uint16_t port() const { return port_; }
  // http://127.0.0.1:PORT + `target`, or https.
  std::string Url(const std::string& target = "/") const;

  // Every held answer goes out, now and from now on.
  void Release();
  // Sends the next piece of the one answer that has `later` pieces.
  void SendNext();
  // Ends all connections, kept ones and those in use.
  void CloseConnections();

  std::vector<Request> requests() const;
  size_t request_count() const { return requests().size(); }
  size_t connection_count() const;  // accepted so far
  size_t most_at_once() const;      // requests in work at the same time
  // False when ten seconds pass without a request before `count` have come.
  bool WaitForRequests(size_t count) const;

 private:
  asio::awaitable<void> Accept();
  template <typename Stream>
  asio::awaitable<void> Serve(std::shared_ptr<Stream> stream, Request prototype);
  asio::awaitable<void> StartTls(asio::ip::tcp::socket socket, Request prototype);
  asio::awaitable<void> WaitForSendNext();
  asio::awaitable<void> WaitBeforeAnswer(std::chrono::milliseconds delay, bool hold);

  const Handler handler_;
  std::optional<asio::ssl::context> tls_;

  mutable absl::Mutex mutex_;
  mutable absl::CondVar request_came_;
  // --- protected by mutex_:
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  size_t connections_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t in_work_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t most_at_once_ ABSL_GUARDED_BY(mutex_) = 0;

  // --- used on the server's thread only:
  std::map<size_t, asio::ip::tcp::socket*> open_;  // sockets live in their coroutines
  std::vector<std::shared_ptr<asio::steady_timer>> held_;
  bool released_ = false;
  size_t to_send_ = 0;  // calls of SendNext that no piece has waited for yet
  std::shared_ptr<asio::steady_timer> waits_to_send_;

  asio::io_context context_{1};
  asio::ip::tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace secretfs::fakes
