#pragma once

// The credentials in use: made by one login for everybody, replaced before they end. While good
// ones are there nobody waits: near their end a new login runs beside the requests. When AWS says
// that they ended early, one more login is made.
//
// Thread-safety: I/O thread only. Owned by shared_ptr, because logins outlive callers.

#include <asio/awaitable.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "providers/auth/shared_task.h"
#include "providers/aws/login.h"

namespace secretfs::providers::aws {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& context, const Clock& clock, std::shared_ptr<Login> login);

  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Credentials(MonotonicTime deadline);

  // Other credentials than `refused`, which AWS does not accept (any more); Unauthenticated saying
  // what to do when a new login gives the same ones.
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Replace(AwsCredentialsPtr refused,
                                                             MonotonicTime deadline);
  void Close();

 private:
  asio::awaitable<absl::Status> LogInOnce(MonotonicTime deadline);
  asio::awaitable<absl::Status> DoLogIn();
  asio::awaitable<void> RenewInBackground();
  bool EndsSoon(Duration margin) const;

  asio::io_context& context_;
  const Clock& clock_;
  std::shared_ptr<Login> login_;
  SharedTask task_;
  AwsCredentialsPtr current_;
  MonotonicTime obtained_at_;
  MonotonicTime not_before_;  // the next renewal in the background
  bool closed_ = false;
};

}  // namespace secretfs::providers::aws
