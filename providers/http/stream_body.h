#pragma once

// What stands between curl, which pushes an answer's bytes, and the coroutine that pulls them.
//
// Thread-safety: I/O thread only. The functions of BodySink are called by curl and so call nothing
// of curl's: the coroutine goes on from the context's queue, and what curl is to be told is told by
// whoever has set `resume`.

#include <asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/http/body_sink.h"
#include "providers/http/http_client.h"
#include "providers/http/waiter.h"

namespace secretfs::providers {

class StreamBody final : public BodySink, public std::enable_shared_from_this<StreamBody> {
 public:
  struct Hooks {
    std::function<void()> active;  // the server has sent something; called from inside curl
    std::function<void()> paused;  // OnBody has refused bytes; called from inside curl
    std::function<void()> resume;  // there is room again
  };

  StreamBody(HttpRequest request, HttpStreamOptions options)
      : request_(std::move(request)), options_(options), pending_(SIZE_MAX / 4) {}

  const HttpRequest& request() const { return request_; }
  const HttpStreamOptions& options() const { return options_; }
  bool has_head() const { return has_head_; }
  long status() const { return status_; }
  const std::multimap<std::string, std::string>& headers() const { return headers_; }
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }

  void OnHead(long status, std::multimap<std::string, std::string> headers) override;
  bool OnBody(std::string_view bytes) override;
  // The request is over: OK at the regular end of the body. Later calls are ignored.
  void End(absl::Status status);

  // OK once the head is there; otherwise why it does not come.
  static asio::awaitable<absl::Status> Head(std::shared_ptr<StreamBody> self);
  // As HttpStream::Next.
  static asio::awaitable<absl::StatusOr<SecretBytes>> Next(std::shared_ptr<StreamBody> self);

 private:
  // Returns when something has changed or the coroutine is cancelled.
  static asio::awaitable<void> Wait(std::shared_ptr<StreamBody> self);
  void Wake();

  const HttpRequest request_;
  const HttpStreamOptions options_;
  Hooks hooks_;
  std::unique_ptr<Waiter> waiter_;
  bool has_head_ = false;
  long status_ = 0;
  std::multimap<std::string, std::string> headers_;
  SecretBuilder pending_;
  bool paused_ = false;
  std::optional<absl::Status> ended_;
};

}  // namespace secretfs::providers
