#pragma once

// The token of one identity: got once for all who need it at the same time, renewed in the
// background at two thirds of its life, replaced when it cannot be renewed or the server does not
// know it any more, and given back at the end if this process made it.
//
// Invariant: `current_` is the token that calls use; a call that was refused names the token it
// used, so that a refusal of an older one never costs the newer one. Tokens made here are in
// `made_` until they are revoked, also after they were replaced, because the leases that came with
// them live as long.
//
// Thread-safety: I/O thread only; make it with std::make_shared. Timers hold weak references, so
// dropping the session ends its work; coroutines that run hold it until they end.

#include <asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/scheduler.h"
#include "providers/vault/authenticator.h"
#include "providers/auth/shared_task.h"
#include "providers/vault/vault_client.h"

namespace secretfs::providers::vault {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Client> client, std::unique_ptr<Authenticator> authenticator,
          Scheduler& scheduler);
  ~Session();

  // The token to use now, after a login if there is none. Errors as Authenticator::LogIn; Cancelled
  // after Close.
  asio::awaitable<absl::StatusOr<TokenBytes>> Token(MonotonicTime deadline);

  // To be asked after the server refused a call with `used`; `token_is_invalid` says that the
  // server itself named the token, not the path, as the reason. True: a newer token is there, try
  // once more. False: the token is good and the path is denied. Unauthenticated: there is no good
  // token.
  asio::awaitable<absl::StatusOr<bool>> RefreshAfterRefusal(TokenBytes used, bool token_is_invalid,
                                                            MonotonicTime deadline);

  // Asks the server about the token. Unauthenticated when it does not take it.
  asio::awaitable<absl::Status> Check(MonotonicTime deadline);

  // Stops renewing and revokes the tokens made here.
  asio::awaitable<void> Close(MonotonicTime deadline);

 private:
  enum class Verdict { kGood, kInvalid, kMayNotAsk };

  asio::awaitable<absl::Status> LogInOnce(MonotonicTime deadline);
  asio::awaitable<absl::Status> DoLogIn();
  asio::awaitable<absl::Status> DoVerify(TokenBytes token);
  asio::awaitable<absl::StatusOr<HttpResponse>> LookUp(TokenBytes token, MonotonicTime deadline);
  asio::awaitable<void> RevokeToken(TokenBytes token, MonotonicTime deadline);
  void Install(Login login);
  void RememberMade();

  // Renewal, in the background (session_renewal.cc).
  enum class Work { kLearnLifetime, kRenew, kReplace };
  void Schedule(Duration delay, Work work);
  // The token lives `duration` from now (0: without end): plans what is to be done about it.
  void LivesFor(std::chrono::seconds duration, bool renewable);
  asio::awaitable<void> LearnLifetime(TokenBytes token);
  asio::awaitable<void> Renew(TokenBytes token);
  asio::awaitable<void> Replace(TokenBytes token);
  void TryAgain(const absl::Status& status, Work work);

  bool Expired() const;
  MonotonicTime OwnDeadline() const;

  std::shared_ptr<Client> client_;
  std::unique_ptr<Authenticator> authenticator_;
  Scheduler& scheduler_;
  SharedTask login_;
  SharedTask verification_;

  TokenBytes current_;
  MonotonicTime obtained_at_;
  std::optional<MonotonicTime> expires_at_;  // not set: unknown, or it does not end
  std::chrono::seconds granted_{0};          // the life that the token had when it was new
  bool renewable_ = false;
  struct MadeToken {
    TokenBytes token;
    std::optional<MonotonicTime> ends_at;
  };
  std::vector<MadeToken> made_;

  // What the last verification found, of which token and when.
  TokenBytes verified_;
  Verdict verdict_ = Verdict::kGood;
  MonotonicTime verified_at_;

  Scheduler::TimerId timer_ = 0;
  bool closed_ = false;
};

}  // namespace secretfs::providers::vault
