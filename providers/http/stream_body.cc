#include "providers/http/stream_body.h"

#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "providers/http/http_stream.h"

namespace secretfs::providers {

HttpStream::HttpStream(std::shared_ptr<StreamBody> body, std::function<void()> end)
    : body_(std::move(body)), end_(std::move(end)) {}

HttpStream::~HttpStream() {
  end_();
  body_->set_hooks({});
}

long HttpStream::status() const { return body_->status(); }

const std::multimap<std::string, std::string>& HttpStream::headers() const {
  return body_->headers();
}

asio::awaitable<absl::StatusOr<SecretBytes>> HttpStream::Next() { return StreamBody::Next(body_); }

void StreamBody::OnHead(long status, std::multimap<std::string, std::string> headers) {
  status_ = status;
  headers_ = std::move(headers);
  has_head_ = true;
  if (hooks_.active != nullptr) hooks_.active();
  Wake();
}

bool StreamBody::OnBody(std::string_view bytes) {
  if (pending_.size() >= options_.buffer_limit) {
    paused_ = true;
    if (hooks_.paused != nullptr) hooks_.paused();
    return false;
  }
  if (hooks_.active != nullptr) hooks_.active();
  (void)pending_.Append(bytes);  // its limit is out of reach: the one above is what counts
  Wake();
  return true;
}

void StreamBody::End(absl::Status status) {
  if (ended_.has_value()) return;
  ended_ = std::move(status);
  hooks_ = {};
  Wake();
}

void StreamBody::Wake() {
  if (waiter_ == nullptr) return;
  // Taken first: the coroutine may wait again before this returns.
  const std::unique_ptr<Waiter> waiter = std::move(waiter_);
  waiter->ResumeLater();
}

asio::awaitable<void> StreamBody::Wait(std::shared_ptr<StreamBody> self) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [self = self.get()](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([weak = self->weak_from_this()](asio::cancellation_type type) {
            const std::shared_ptr<StreamBody> body = weak.lock();
            if (type != asio::cancellation_type::none && body != nullptr) body->Wake();
          });
        }
        self->waiter_ = std::make_unique<WaiterFor<decltype(handler)>>(std::move(handler));
      },
      asio::use_awaitable);
}

asio::awaitable<absl::Status> StreamBody::Head(std::shared_ptr<StreamBody> self) {
  for (;;) {
    // A cancelled coroutine must not reach the next co_await: it would throw.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return absl::CancelledError("cancelled");
    }
    if (self->has_head_) co_return absl::OkStatus();
    if (self->ended_.has_value()) {
      if (!self->ended_->ok()) co_return *self->ended_;
      co_return absl::UnavailableError("the server ended the connection without an answer");
    }
    co_await Wait(self);
  }
}

asio::awaitable<absl::StatusOr<SecretBytes>> StreamBody::Next(std::shared_ptr<StreamBody> self) {
  for (;;) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return absl::CancelledError("cancelled");
    }
    if (self->pending_.size() > 0) {
      SecretBytes bytes = self->pending_.Finish();
      if (std::exchange(self->paused_, false) && self->hooks_.resume != nullptr) {
        self->hooks_.resume();
      }
      co_return bytes;
    }
    if (self->ended_.has_value()) {
      if (!self->ended_->ok()) co_return *self->ended_;
      co_return SecretBytes();
    }
    co_await Wait(self);
  }
}

}  // namespace secretfs::providers
