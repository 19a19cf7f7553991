#include "providers/http/curl_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>

namespace secretfs::providers {
namespace {

// Sent data that stays unacknowledged for so long means a dead connection. Without it, HTTP/2 would
// go on using a connection whose peer has vanished, request after request.
constexpr unsigned kUnacknowledgedLimitMs = 15'000;

// Calls of curl in a row because it asks to be called again at once; beyond, other work gets a
// turn.
constexpr int kCallsInARow = 16;

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

std::shared_ptr<CurlLoop> CurlLoop::Create(asio::io_context& context, size_t connections_per_host,
                                           Finished finished) {
  return std::shared_ptr<CurlLoop>(
      new CurlLoop(context, connections_per_host, std::move(finished)));
}

CurlLoop::CurlLoop(asio::io_context& context, size_t connections_per_host, Finished finished)
    : context_(context),
      finished_callback_(std::move(finished)),
      multi_(curl_multi_init()),
      timer_(context) {
  const long connections = static_cast<long>(connections_per_host);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlLoop::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlLoop::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, std::max(connections * 2, 8L));
}

CurlLoop::~CurlLoop() { Close(); }

void CurlLoop::Adopt(CURL* handle) {
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, &CurlLoop::OnOpenSocket);
}

void CurlLoop::Add(CURL* handle, MonotonicTime deadline) {
  active_.emplace(handle, deadline);
  if (deadline != MonotonicTime::max()) deadlines_.emplace(deadline, handle);
  if (curl_multi_add_handle(multi_, handle) == CURLM_OK) {
    Act(CURL_SOCKET_TIMEOUT, 0);
    CollectFinished();
  } else {
    Forget(handle);
    finished_.push_back({handle, CURLE_FAILED_INIT});
  }
  // The caller does not expect Finished yet. A Deliver up the stack will see it; else it is posted.
  if (!finished_.empty() && !delivering_) {
    asio::post(context_, [self = shared_from_this()] {
      self->Deliver();
      self->ArmTimer();
    });
  }
  ArmTimer();
}

void CurlLoop::SetDeadline(CURL* handle, MonotonicTime deadline) {
  const auto it = active_.find(handle);
  if (it == active_.end() || it->second == deadline) return;
  deadlines_.erase({it->second, handle});
  it->second = deadline;
  if (deadline != MonotonicTime::max()) deadlines_.emplace(deadline, handle);
}

void CurlLoop::Resume(CURL* handle) {
  if (!active_.contains(handle)) return;
  curl_easy_pause(handle, CURLPAUSE_CONT);
  ArmTimer();
}

void CurlLoop::Remove(CURL* handle) {
  if (active_.contains(handle)) {
    Forget(handle);
    curl_multi_remove_handle(multi_, handle);
    ArmTimer();
  }
  std::erase_if(finished_, [handle](const FinishedTransfer& it) { return it.handle == handle; });
}

void CurlLoop::Close() {
  if (multi_ == nullptr) return;
  timer_.cancel();
  curl_multi_cleanup(multi_);
  multi_ = nullptr;
  for (auto& [socket, watch] : watches_) watch->GiveUp();
  watches_.clear();
}

int CurlLoop::OnSocket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  static_cast<CurlLoop*>(self)->SetWanted(socket, what);
  return 0;
}

int CurlLoop::OnTimer(CURLM*, long timeout_ms, void* self) {
  MonotonicTime& due = static_cast<CurlLoop*>(self)->curl_due_;
  if (timeout_ms < 0) {
    due = MonotonicTime::max();
  } else if (timeout_ms == 0) {
    due = MonotonicTime::min();
  } else {
    due = Now() + std::chrono::milliseconds(timeout_ms);
  }
  return 0;
}

curl_socket_t CurlLoop::OnOpenSocket(void*, curlsocktype, curl_sockaddr* address) {
  const int socket = ::socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                              address->protocol);
  if (socket < 0) return CURL_SOCKET_BAD;
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedLimitMs,
             sizeof kUnacknowledgedLimitMs);
  return socket;
}

void CurlLoop::SetWanted(curl_socket_t socket, int what) {
  if (what == CURL_POLL_REMOVE) {
    const auto it = watches_.find(socket);
    if (it == watches_.end()) return;
    it->second->GiveUp();
    watches_.erase(it);
    return;
  }
  std::shared_ptr<Watch>& watch = watches_[socket];
  if (watch == nullptr) {
    watch = std::make_shared<Watch>(context_, this);
    asio::error_code error;
    watch->descriptor.assign(socket, error);
  }
  watch->wanted = what;
  Wait(watch);
}

void CurlLoop::Watch::GiveUp() {
  loop = nullptr;
  wanted = CURL_POLL_NONE;
  if (descriptor.is_open()) (void)descriptor.release();
}

void CurlLoop::Wait(const std::shared_ptr<Watch>& watch) {
  if ((watch->wanted & CURL_POLL_IN) != 0 && !watch->reading) WaitFor(watch, true);
  if ((watch->wanted & CURL_POLL_OUT) != 0 && !watch->writing) WaitFor(watch, false);
}

void CurlLoop::WaitFor(const std::shared_ptr<Watch>& watch, bool for_reading) {
  (for_reading ? watch->reading : watch->writing) = true;
  watch->descriptor.async_wait(for_reading ? asio::posix::stream_descriptor::wait_read
                                           : asio::posix::stream_descriptor::wait_write,
                               [watch, for_reading](const asio::error_code& error) {
                                 if (watch->loop == nullptr) return;
                                 (for_reading ? watch->reading : watch->writing) = false;
                                 const int event = for_reading ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
                                 const int wanted = for_reading ? CURL_POLL_IN : CURL_POLL_OUT;
                                 if ((watch->wanted & wanted) == 0) return;
                                 watch->loop->Ready(watch, error ? CURL_CSELECT_ERR : event);
                               });
}

void CurlLoop::Ready(const std::shared_ptr<Watch>& watch, int events) {
  const std::shared_ptr<CurlLoop> self = shared_from_this();
  Act(watch->descriptor.native_handle(), events);
  if (watch->loop != nullptr) Wait(watch);
  CollectFinished();
  Deliver();
  ArmTimer();
}

void CurlLoop::TimerExpired() {
  const std::shared_ptr<CurlLoop> self = shared_from_this();
  armed_ = MonotonicTime::max();
  if (curl_due_ <= Now()) Act(CURL_SOCKET_TIMEOUT, 0);
  CollectFinished();
  ExpireDeadlines();
  Deliver();
  ArmTimer();
}

void CurlLoop::Act(curl_socket_t socket, int events) {
  int running = 0;
  if (socket == CURL_SOCKET_TIMEOUT) curl_due_ = MonotonicTime::max();
  curl_multi_socket_action(multi_, socket, events, &running);
  for (int i = 0; i < kCallsInARow && curl_due_ == MonotonicTime::min(); ++i) {
    curl_due_ = MonotonicTime::max();
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

void CurlLoop::CollectFinished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const handle = message->easy_handle;  // the message goes with the handle's removal
    const CURLcode code = message->data.result;
    curl_multi_remove_handle(multi_, handle);
    Forget(handle);
    finished_.push_back({handle, code});
  }
}

void CurlLoop::ExpireDeadlines() {
  const MonotonicTime now = Now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    CURL* const handle = deadlines_.begin()->second;
    curl_multi_remove_handle(multi_, handle);
    Forget(handle);
    finished_.push_back({handle, CURLE_OPERATION_TIMEDOUT});
  }
}

void CurlLoop::Forget(CURL* handle) {
  const auto it = active_.find(handle);
  deadlines_.erase({it->second, handle});
  active_.erase(it);
}

void CurlLoop::Deliver() {
  if (delivering_) return;
  delivering_ = true;
  while (!finished_.empty()) {
    const FinishedTransfer transfer = finished_.front();
    finished_.pop_front();
    finished_callback_(transfer.handle, transfer.code);
  }
  delivering_ = false;
}

void CurlLoop::ArmTimer() {
  if (multi_ == nullptr) return;
  if (active_.empty()) {
    // An armed timer would keep the context from running out of work.
    if (armed_ != MonotonicTime::max()) timer_.cancel();
    armed_ = MonotonicTime::max();
    return;
  }
  const MonotonicTime wanted =
      deadlines_.empty() ? curl_due_ : std::min(curl_due_, deadlines_.begin()->first);
  if (wanted >= armed_) return;
  armed_ = wanted;
  timer_.expires_at(std::max(wanted, Now()));
  timer_.async_wait([weak = weak_from_this()](const asio::error_code& error) {
    const std::shared_ptr<CurlLoop> self = weak.lock();
    if (!error && self != nullptr && self->multi_ != nullptr) self->TimerExpired();
  });
}

}  // namespace secretfs::providers
