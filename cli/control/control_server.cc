#include "cli/control/control_server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/control/control_client.h"

namespace secretfs::cli {
namespace {

using Socket = asio::local::stream_protocol::socket;
using Acceptor = asio::local::stream_protocol::acceptor;

constexpr size_t kMostConnections = 32;
constexpr std::chrono::seconds kPatience(30);  // for the next request of a connection

constexpr auto kAwait = asio::experimental::as_tuple(asio::use_awaitable);

// One request that is carried out on another thread; touched on the I/O thread only.
struct Pending {
  explicit Pending(asio::io_context& context)
      : done(context, std::chrono::steady_clock::time_point::max()) {}
  asio::steady_timer done;  // cancelled when `answer` is there
  std::string answer;
};

absl::StatusOr<uid_t> PeerUser(Socket& socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::InternalError(Format("SO_PEERCRED: {}", strerror(errno)));
  }
  return credentials.uid;
}

std::string ErrorLine(const absl::Status& status) {
  return EncodeResponse({.status = status, .report = std::nullopt}) + "\n";
}

}  // namespace

bool MayControl(uid_t peer, uid_t owner) { return peer == owner || peer == 0; }

class ControlServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  // `path`: to be removed in the end; may be empty.
  Impl(asio::io_context& context, std::string path, uid_t owner, Handler handler)
      : context_(context),
        acceptor_(context),
        path_(std::move(path)),
        owner_(owner),
        handler_(std::move(handler)) {}

  absl::Status Assign(UniqueFd listening) {
    asio::error_code error;
    acceptor_.assign({}, listening.get(), error);
    if (error) {
      return absl::UnavailableError(Format("cannot use the control socket ({})", error.message()));
    }
    (void)listening.Release();
    return absl::OkStatus();
  }

  void Accept() { asio::co_spawn(context_, AcceptLoop(shared_from_this()), asio::detached); }

  void FinishRequests() { workers_.join(); }

  // On the I/O thread.
  void RefuseRequests() { refusing_ = true; }
  void Close() {
    asio::error_code ignored;
    acceptor_.close(ignored);
    if (!path_.empty()) unlink(path_.c_str());
    for (const std::shared_ptr<Socket>& socket : connections_) socket->close(ignored);
  }

 private:
  static asio::awaitable<void> AcceptLoop(std::shared_ptr<Impl> self) {
    while (self->acceptor_.is_open()) {
      auto socket = std::make_shared<Socket>(self->context_);
      const auto [error] = co_await self->acceptor_.async_accept(*socket, kAwait);
      if (!self->acceptor_.is_open()) co_return;
      if (error) {
        // Out of descriptors, most likely: try again, but not at once.
        asio::steady_timer pause(self->context_, std::chrono::milliseconds(100));
        co_await pause.async_wait(kAwait);
        continue;
      }
      if (self->connections_.size() >= kMostConnections) continue;  // closes it
      self->connections_.insert(socket);
      asio::co_spawn(self->context_, Serve(self, socket), asio::detached);
    }
  }

  static asio::awaitable<void> Serve(std::shared_ptr<Impl> self, std::shared_ptr<Socket> socket) {
    const absl::StatusOr<uid_t> peer = PeerUser(*socket);
    if (peer.ok() && MayControl(*peer, self->owner_)) {
      co_await Converse(self, socket);
    } else {
      Log().warn("refused a control connection of another user");
      std::string line =
          ErrorLine(absl::PermissionDeniedError("this mount belongs to another user"));
      co_await asio::async_write(*socket, asio::buffer(line), kAwait);
    }
    self->connections_.erase(socket);
  }

  static asio::awaitable<void> Converse(std::shared_ptr<Impl> self,
                                        std::shared_ptr<Socket> socket) {
    std::string input;
    while (true) {
      asio::steady_timer limit(self->context_, kPatience);
      limit.async_wait([socket](const asio::error_code& cancelled) {
        asio::error_code ignored;
        if (!cancelled) socket->close(ignored);
      });
      const auto [error, length] = co_await asio::async_read_until(
          *socket, asio::dynamic_buffer(input, kLongestControlRequest), '\n', kAwait);
      limit.cancel();
      std::string answer;
      const bool too_long = error == asio::error::not_found;
      if (error && !too_long) co_return;
      if (too_long) {
        answer = ErrorLine(absl::InvalidArgumentError(
            Format("the request is longer than {} bytes", kLongestControlRequest)));
      } else {
        std::string line = input.substr(0, length - 1);
        input.erase(0, length);
        answer = co_await Answer(self, std::move(line));
      }
      const auto [write_error, written] =
          co_await asio::async_write(*socket, asio::buffer(answer), kAwait);
      if (write_error || too_long) co_return;
    }
  }

  static asio::awaitable<std::string> Answer(std::shared_ptr<Impl> self, std::string line) {
    const absl::StatusOr<ControlRequest> request = DecodeRequest(line);
    if (!request.ok()) co_return ErrorLine(request.status());
    if (self->refusing_) {
      co_return ErrorLine(absl::CancelledError("the mount is being ended"));
    }
    auto pending = std::make_shared<Pending>(self->context_);
    asio::post(self->workers_, [self, pending, wanted = *request] {
      std::string answer = EncodeResponse(self->handler_(wanted)) + "\n";
      asio::post(self->context_, [pending, answer = std::move(answer)]() mutable {
        pending->answer = std::move(answer);
        pending->done.cancel();
      });
    });
    co_await pending->done.async_wait(kAwait);
    co_return std::move(pending->answer);
  }

  asio::io_context& context_;
  Acceptor acceptor_;
  const std::string path_;
  const uid_t owner_;
  const Handler handler_;
  asio::thread_pool workers_{2};
  // --- used on the I/O thread only:
  std::set<std::shared_ptr<Socket>> connections_;
  bool refusing_ = false;
};

ControlServer::ControlServer(IoThread& io, std::shared_ptr<Impl> impl)
    : io_(io), impl_(std::move(impl)) {}

absl::StatusOr<UniqueFd> ControlServer::Listen(const std::string& path) {
  // Also removes the socket of a dead process.
  if (ControlClient::AtSocket(path).ok()) {
    return absl::AlreadyExistsError(Format("another secretfs answers at {}", path));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(Format("{} is too long for a socket", path));
  }
  memcpy(address.sun_path, path.data(), path.size());
  UniqueFd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening.valid() ||
      bind(listening.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listening.get(), 16) != 0) {
    return absl::UnavailableError(Format("cannot listen at {} ({})", path, strerror(errno)));
  }
  return listening;
}

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Serve(IoThread& io,
                                                                    UniqueFd listening, uid_t owner,
                                                                    Handler handler) {
  auto impl = std::make_shared<Impl>(io.context(), "", owner, std::move(handler));
  SECRETFS_RETURN_IF_ERROR(impl->Assign(std::move(listening)));
  io.RunAndWait([&impl] { impl->Accept(); });
  return std::unique_ptr<ControlServer>(new ControlServer(io, std::move(impl)));
}

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(IoThread& io, std::string path,
                                                                    Handler handler) {
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd listening, Listen(path));
  auto impl = std::make_shared<Impl>(io.context(), std::move(path), geteuid(), std::move(handler));
  SECRETFS_RETURN_IF_ERROR(impl->Assign(std::move(listening)));
  io.RunAndWait([&impl] { impl->Accept(); });
  return std::unique_ptr<ControlServer>(new ControlServer(io, std::move(impl)));
}

void ControlServer::FinishRequests() {
  io_.RunAndWait([this] { impl_->RefuseRequests(); });
  impl_->FinishRequests();
}

ControlServer::~ControlServer() {
  FinishRequests();
  io_.RunAndWait([this] { impl_->Close(); });
}

}  // namespace secretfs::cli
