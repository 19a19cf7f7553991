#pragma once

// libcurl's multi interface on an Asio context: watches curl's sockets, keeps its timer and
// enforces a deadline for each transfer (also while it waits for a free connection, which curl
// itself does not time). Knows nothing of requests: it takes easy handles and gives them back when
// they are finished.
//
// Thread-safety: everything on the thread that runs the context. The context outlives the loop.

#include <curl/curl.h>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace secretfs::providers {

class CurlLoop : public std::enable_shared_from_this<CurlLoop> {
 public:
  // Called once for each handle that was added and not removed, from the context, never from inside
  // Add, and never while curl is on the stack; the handle is no longer in the loop. May call
  // anything here, Close included.
  using Finished = std::function<void(CURL*, CURLcode)>;

  static std::shared_ptr<CurlLoop> Create(asio::io_context& context, size_t connections_per_host,
                                          Finished finished);
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  // Sets the options of `handle` through which curl opens its sockets. Once a handle.
  void Adopt(CURL* handle);
  // Starts the transfer; what can be sent at once is sent before this returns. Past `deadline` it
  // finishes with CURLE_OPERATION_TIMEDOUT. `handle` stays the caller's.
  void Add(CURL* handle, MonotonicTime deadline);
  // Replaces the deadline of a transfer that was added and is not finished. May be called from
  // curl's callbacks; the caller of curl arms the timer.
  void SetDeadline(CURL* handle, MonotonicTime deadline);
  // Goes on with a transfer whose write function paused it. Not from curl's callbacks.
  void Resume(CURL* handle);
  // Stops the transfer; Finished will not be called for it. Unknown handles are ignored.
  void Remove(CURL* handle);
  // Closes every connection. REQUIRES: all handles were removed and cleaned up. Idempotent.
  void Close();

 private:
  // One socket that curl wants watched, from when it says so until it says that it does not. Curl
  // opens and closes its sockets, not always through a callback (a connection that is given up
  // while connecting is closed without one), so the descriptor here only borrows: it is given up at
  // each CURL_POLL_REMOVE, which curl sends before this thread can watch anything else of that
  // number, and is never closed here.
  struct Watch {
    Watch(asio::io_context& context, CurlLoop* owner) : descriptor(context), loop(owner) {}
    ~Watch() { GiveUp(); }
    void GiveUp();
    asio::posix::stream_descriptor descriptor;
    CurlLoop* loop;  // null once given up: completions are ignored
    int wanted = CURL_POLL_NONE;
    bool reading = false;  // a wait is under way
    bool writing = false;
  };
  struct FinishedTransfer {
    CURL* handle;
    CURLcode code;
  };

  CurlLoop(asio::io_context& context, size_t connections_per_host, Finished finished);

  static int OnSocket(CURL*, curl_socket_t socket, int what, void* self, void* watch);
  static int OnTimer(CURLM*, long timeout_ms, void* self);
  static curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address);

  void SetWanted(curl_socket_t socket, int what);
  static void Wait(const std::shared_ptr<Watch>& watch);
  static void WaitFor(const std::shared_ptr<Watch>& watch, bool for_reading);
  void Ready(const std::shared_ptr<Watch>& watch, int events);
  void TimerExpired();
  void Act(curl_socket_t socket, int events);
  void CollectFinished();
  void ExpireDeadlines();
  void Forget(CURL* handle);
  void Deliver();
  void ArmTimer();

  asio::io_context& context_;
  const Finished finished_callback_;
  CURLM* multi_;
  std::unordered_map<curl_socket_t, std::shared_ptr<Watch>> watches_;

  // A handle is in `active_` until it is moved to `finished_` or removed. `deadlines_` holds those
  // of `active_` that have one.
  std::unordered_map<CURL*, MonotonicTime> active_;
  std::set<std::pair<MonotonicTime, CURL*>> deadlines_;
  std::deque<FinishedTransfer> finished_;
  bool delivering_ = false;

  // `curl_due_` is when curl wants to be called (min(): at once, max(): not). The timer is armed
  // for `armed_`, which is never later than what is wanted but may be earlier, because a timer that
  // fires for nothing now and then is cheaper than setting it for each request.
  asio::steady_timer timer_;
  MonotonicTime curl_due_ = MonotonicTime::max();
  MonotonicTime armed_ = MonotonicTime::max();
};

}  // namespace secretfs::providers
