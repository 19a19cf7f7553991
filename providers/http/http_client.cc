#include "providers/http/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/http/curl_loop.h"
#include "providers/http/stream_body.h"
#include "providers/http/tls_files.h"
#include "providers/http/transfer.h"
#include "providers/http/url.h"
#include "providers/http/waiter.h"

namespace secretfs::providers {
namespace {

constexpr int kMaximumRedirects = 5;
constexpr Duration kLongestWait = std::chrono::hours(24 * 365);  // keeps sums in range

void InitializeCurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// OpenSSL writes to sockets in a way that raises SIGPIPE when the peer has gone. Blocked for the
// thread (not ignored for the process, which children would inherit through exec).
void BlockBrokenPipeSignal() {
  thread_local bool blocked = false;
  if (blocked) return;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  blocked = true;
}

bool IsRedirect(const HttpResponse& response) {
  return (response.status == 301 || response.status == 302 || response.status == 303 ||
          response.status == 307 || response.status == 308) &&
         response.headers.contains("location");
}

absl::Status InFront(const absl::Status& status, const HttpRequest& request) {
  return WithContext(status, Format("{} {}", request.method, UrlForMessages(request.url)));
}

// Makes `request` the one that the redirect asks for, if it stays with the server: the headers may
// hold credentials, which no other server must see.
absl::Status FollowRedirect(const HttpResponse& response, HttpRequest& request) {
  SECRETFS_ASSIGN_OR_RETURN(const Origin from, OriginOf(request.url));
  SECRETFS_ASSIGN_OR_RETURN(
      std::string url, ResolveReference(request.url, response.headers.find("location")->second));
  SECRETFS_ASSIGN_OR_RETURN(const Origin to, OriginOf(url));
  if (from != to) {
    return absl::FailedPreconditionError(Format(
        "{}://{} redirects to another server, {}://{}, which is not followed; if that is the "
        "right one, set it as the store's server",
        from.scheme, from.HostAndPort(), to.scheme, to.HostAndPort()));
  }
  request.url = std::move(url);
  const bool becomes_get = response.status == 303
                               ? request.method != "HEAD"
                               : response.status <= 302 && request.method == "POST";
  if (becomes_get) {
    request.method = "GET";
    request.body = SecretBytes();
  }
  return absl::OkStatus();
}

}  // namespace

// Lives as long as the client or the last coroutine inside Send, so that one that is resumed after
// the client's end finds `closed_` and returns.
class HttpClient::Impl {
 public:
  Impl(asio::io_context& context, const Clock& clock, HttpClientOptions options);
  ~Impl() { Close(); }

  static asio::awaitable<absl::StatusOr<HttpResponse>> Run(std::shared_ptr<Impl> self,
                                                           HttpRequest request);
  static asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> RunStream(
      std::shared_ptr<Impl> self, HttpRequest request, HttpStreamOptions options);
  void Close();

 private:
  // One exchange under way: either a coroutine waits for the whole result, or a stream takes what
  // comes.
  struct Exchange {
    std::unique_ptr<Transfer> transfer;
    absl::StatusOr<HttpResponse>* result = nullptr;  // in the coroutine's frame
    std::unique_ptr<Waiter> waiter;
    std::shared_ptr<StreamBody> stream;
  };

  // Runs `request` and puts what came of it into `result`; both stay where they are meanwhile.
  static asio::awaitable<void> Perform(std::shared_ptr<Impl> self, const HttpRequest* request,
                                       absl::StatusOr<HttpResponse>* result);
  template <typename Handler>
  void Begin(Handler handler, const HttpRequest& request, absl::StatusOr<HttpResponse>& result);
  absl::StatusOr<CURL*> Start(const HttpRequest& request, BodySink* sink);
  void Connect(StreamBody& stream, CURL* handle, uint64_t number);
  void Finished(CURL* handle, CURLcode code);
  void Cancel(CURL* handle, uint64_t number);
  void Recycle(std::unique_ptr<Transfer> transfer);

  const Clock& clock_;
  HttpClientOptions options_;  // its TLS settings are those of `tls_files_`
  TlsFiles tls_files_;
  std::shared_ptr<CurlLoop> loop_;
  CURLSH* share_;
  bool closed_ = false;

  // By handle: a transfer is in `active_` or in `idle_`.
  struct Active {
    uint64_t number;  // handles are used again: cancelling names the exchange, not the handle
    Exchange exchange;
  };
  std::unordered_map<CURL*, Active> active_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  size_t generation_ = 0;  // of the TLS settings; transfers of an older one are not used again
  uint64_t next_number_ = 1;
};

HttpClient::Impl::Impl(asio::io_context& context, const Clock& clock, HttpClientOptions options)
    : clock_(clock), options_(std::move(options)), tls_files_(options_.tls) {
  options_.tls = tls_files_.usable();
  InitializeCurl();
  loop_ = CurlLoop::Create(context, options_.connections_per_host,
                           [this](CURL* handle, CURLcode code) { Finished(handle, code); });
  share_ = curl_share_init();
  curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  if (options_.tls.skip_verify) {
    Log().warn(
        "TLS certificates of this store are not verified (insecure option): anybody on the "
        "network path can read and change its secrets");
  }
}

void HttpClient::Impl::Close() {
  if (std::exchange(closed_, true)) return;
  BlockBrokenPipeSignal();  // closing TLS connections writes to them
  auto active = std::exchange(active_, {});
  for (auto& [handle, entry] : active) {
    loop_->Remove(handle);
    const absl::Status status = absl::CancelledError("the HTTP client was closed");
    if (entry.exchange.stream != nullptr) {
      entry.exchange.stream->End(status);
    } else {
      *entry.exchange.result = status;
      entry.exchange.waiter->ResumeLater();
    }
  }
  active.clear();
  idle_.clear();
  loop_->Close();
  loop_.reset();
  curl_share_cleanup(share_);
}

asio::awaitable<absl::StatusOr<HttpResponse>> HttpClient::Impl::Run(std::shared_ptr<Impl> self,
                                                                    HttpRequest request) {
  for (int redirects = 0;; ++redirects) {
    // A cancelled coroutine must not reach the next co_await: it would throw.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return InFront(absl::CancelledError("cancelled"), request);
    }
    absl::StatusOr<HttpResponse> result = absl::UnknownError("");
    co_await Perform(self, &request, &result);
    if (!result.ok()) co_return InFront(result.status(), request);
    if (!IsRedirect(*result)) co_return std::move(result);
    if (redirects == kMaximumRedirects) {
      absl::Status status = absl::FailedPreconditionError(
          Format("more than {} redirects in a row", kMaximumRedirects));
      co_return InFront(status, request);
    }
    const absl::Status followed = FollowRedirect(*result, request);
    if (!followed.ok()) co_return InFront(followed, request);
  }
}

asio::awaitable<void> HttpClient::Impl::Perform(std::shared_ptr<Impl> self,
                                                const HttpRequest* request,
                                                absl::StatusOr<HttpResponse>* result) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [self = self.get(), request, result](auto handler) {
        self->Begin(std::move(handler), *request, *result);
      },
      asio::use_awaitable);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> HttpClient::Impl::RunStream(
    std::shared_ptr<Impl> self, HttpRequest request, HttpStreamOptions options) {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    co_return InFront(absl::CancelledError("cancelled"), request);
  }
  const auto body = std::make_shared<StreamBody>(std::move(request), options);
  const absl::StatusOr<CURL*> started = self->Start(body->request(), body.get());
  if (!started.ok()) co_return InFront(started.status(), body->request());
  Active& active = self->active_.at(*started);
  active.exchange.stream = body;
  self->Connect(*body, *started, active.number);
  // From here on, leaving this coroutine ends the request.
  auto stream = std::make_unique<HttpStream>(
      body, [weak = std::weak_ptr(self), handle = *started, number = active.number] {
        const std::shared_ptr<Impl> client = weak.lock();
        if (client != nullptr) client->Cancel(handle, number);
      });
  const absl::Status head = co_await StreamBody::Head(body);
  if (!head.ok()) co_return InFront(head, body->request());
  co_return stream;
}

// The hooks are called only while the stream's transfer is in the loop, or find it gone there.
void HttpClient::Impl::Connect(StreamBody& stream, CURL* handle, uint64_t number) {
  const std::weak_ptr<CurlLoop> weak = loop_;
  const Duration idle_limit = std::min(stream.options().idle_limit, kLongestWait);
  const auto set_deadline = [this, weak, handle, number](MonotonicTime deadline) {
    const std::shared_ptr<CurlLoop> loop = weak.lock();
    if (loop == nullptr) return;
    const auto it = active_.find(handle);
    if (it != active_.end() && it->second.number == number) loop->SetDeadline(handle, deadline);
  };
  stream.set_hooks({
      .active =
          [set_deadline, idle_limit] {
            set_deadline(MonotonicTime(std::chrono::steady_clock::now()) + idle_limit);
          },
      // It is not the server that is silent.
      .paused = [set_deadline] { set_deadline(MonotonicTime::max()); },
      .resume =
          [this, weak, set_deadline, idle_limit, handle, number] {
            const std::shared_ptr<CurlLoop> loop = weak.lock();
            if (loop == nullptr) return;
            const auto it = active_.find(handle);
            if (it == active_.end() || it->second.number != number) return;
            set_deadline(MonotonicTime(std::chrono::steady_clock::now()) + idle_limit);
            loop->Resume(handle);
          },
  });
}

template <typename Handler>
void HttpClient::Impl::Begin(Handler handler, const HttpRequest& request,
                             absl::StatusOr<HttpResponse>& result) {
  const absl::StatusOr<CURL*> started = Start(request, nullptr);
  if (!started.ok()) {
    result = started.status();
    WaiterFor<Handler>(std::move(handler)).ResumeLater();
    return;
  }
  Active& active = active_.at(*started);
  auto slot = asio::get_associated_cancellation_slot(handler);
  if (slot.is_connected()) {
    slot.assign([this, handle = *started, number = active.number](asio::cancellation_type type) {
      if (type != asio::cancellation_type::none) Cancel(handle, number);
    });
  }
  active.exchange.result = &result;
  active.exchange.waiter = std::make_unique<WaiterFor<Handler>>(std::move(handler));
}

// The transfer is in `active_` when this returns OK; it cannot finish before the caller returns to
// the context.
absl::StatusOr<CURL*> HttpClient::Impl::Start(const HttpRequest& request, BodySink* sink) {
  if (closed_) return absl::CancelledError("the HTTP client was closed");
  SECRETFS_RETURN_IF_ERROR(CheckConfidential(request.url, options_.plaintext, "the address"));
  BlockBrokenPipeSignal();
  const bool bounded = request.deadline != MonotonicTime::max();
  const Duration left =
      bounded ? std::min(request.deadline - clock_.Now(), kLongestWait) : kLongestWait;
  if (left <= Duration(0)) {
    return absl::DeadlineExceededError("the deadline had passed before the request was sent");
  }
  if (tls_files_.Refresh()) {
    options_.tls = tls_files_.usable();
    ++generation_;
    idle_.clear();
  }
  std::unique_ptr<Transfer> transfer;
  if (idle_.empty()) {
    transfer = std::make_unique<Transfer>(options_, share_, generation_);
    loop_->Adopt(transfer->handle());
  } else {
    transfer = std::move(idle_.back());
    idle_.pop_back();
  }
  const absl::Status prepared = transfer->Prepare(request, left, sink);
  if (!prepared.ok()) {
    Recycle(std::move(transfer));
    return prepared;
  }
  CURL* const handle = transfer->handle();
  active_.emplace(handle, Active{next_number_++, {std::move(transfer), nullptr, nullptr, nullptr}});
  // The injected clock says how much time is left; the loop measures it in real time.
  loop_->Add(handle, bounded ? MonotonicTime(std::chrono::steady_clock::now()) + left
                             : MonotonicTime::max());
  return handle;
}

void HttpClient::Impl::Finished(CURL* handle, CURLcode code) {
  auto node = active_.extract(handle);
  Exchange exchange = std::move(node.mapped().exchange);
  absl::StatusOr<HttpResponse> result = exchange.transfer->Finish(code);
  Recycle(std::move(exchange.transfer));
  if (exchange.stream == nullptr) {
    *exchange.result = std::move(result);
    exchange.waiter->ResumeNow();  // may end this object
  } else if (code == CURLE_OPERATION_TIMEDOUT && exchange.stream->has_head()) {
    exchange.stream->End(absl::DeadlineExceededError(
        Format("the server has sent nothing for {} ms",
               exchange.stream->options().idle_limit / std::chrono::milliseconds(1))));
  } else {
    exchange.stream->End(result.status());
  }
}

void HttpClient::Impl::Cancel(CURL* handle, uint64_t number) {
  const auto it = active_.find(handle);
  if (it == active_.end() || it->second.number != number) return;
  Exchange exchange = std::move(it->second.exchange);
  active_.erase(it);
  loop_->Remove(handle);
  Recycle(std::move(exchange.transfer));
  if (exchange.stream != nullptr) {
    exchange.stream->End(absl::CancelledError("the stream was dropped"));
    return;
  }
  *exchange.result = absl::CancelledError("cancelled");
  exchange.waiter->ResumeLater();
}

void HttpClient::Impl::Recycle(std::unique_ptr<Transfer> transfer) {
  transfer->Clear();
  if (transfer->generation() != generation_) return;
  if (idle_.size() < options_.connections_per_host) idle_.push_back(std::move(transfer));
}

HttpClient::HttpClient(asio::io_context& context, const Clock& clock, HttpClientOptions options)
    : impl_(std::make_shared<Impl>(context, clock, std::move(options))) {}

HttpClient::~HttpClient() { impl_->Close(); }

asio::awaitable<absl::StatusOr<HttpResponse>> HttpClient::Send(HttpRequest request) {
  return Impl::Run(impl_, std::move(request));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> HttpClient::Stream(
    HttpRequest request, HttpStreamOptions options) {
  return Impl::RunStream(impl_, std::move(request), options);
}

}  // namespace secretfs::providers
