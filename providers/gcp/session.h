#pragma once

// The access token of one identity: got once for all who need it at the same time, replaced in the
// background shortly before it ends (Google keeps handing out the same token until then), and
// replaced at once when the API refuses it. Tokens cannot be given back; they end by themselves.
//
// Invariant: `current_` is the token that calls use; a call that was refused names the token it
// used, so that a refusal of an older one never costs the newer one.
//
// Thread-safety: I/O thread only; make it with std::make_shared.

#include <asio/awaitable.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/auth/shared_task.h"
#include "providers/gcp/gcp_client.h"
#include "providers/gcp/token_source.h"

namespace secretfs::providers::gcp {

using TokenBytes = std::shared_ptr<const SecretBytes>;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Client> client, std::unique_ptr<TokenSource> source);

  // The token to use now. Errors as TokenSource::Get; Cancelled after Close.
  asio::awaitable<absl::StatusOr<TokenBytes>> Token(MonotonicTime deadline);

  // Another token than `refused`, which the API did not take.
  asio::awaitable<absl::StatusOr<TokenBytes>> Replace(TokenBytes refused, MonotonicTime deadline);

  void Close();

  std::string Description() const { return source_->Description(); }
  std::string QuotaProject() const { return source_->QuotaProject(); }

 private:
  bool Usable() const;
  asio::awaitable<absl::Status> GetOnce(MonotonicTime deadline);
  asio::awaitable<absl::Status> DoGet();
  static asio::awaitable<void> GetInBackground(std::shared_ptr<Session> self);

  std::shared_ptr<Client> client_;
  std::unique_ptr<TokenSource> source_;
  SharedTask task_;
  TokenBytes current_;
  MonotonicTime replace_at_;  // of `current_`: in the background
  MonotonicTime ends_at_;
  bool closed_ = false;
};

}  // namespace secretfs::providers::gcp
