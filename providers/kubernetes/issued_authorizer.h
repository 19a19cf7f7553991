#pragma once

// An authorizer whose credentials are given out for a time by somebody else: keeps the last one,
// gets the next one once for all who wait, early where that is worth it, and does not ask again and
// again when the server refuses what it has just been given or the issuer fails.
//
// Thread-safety: as Authorizer's.

#include <memory>
#include <optional>
#include <string>

#include "providers/auth/shared_task.h"
#include "providers/kubernetes/authorizer.h"

namespace secretfs::providers::kubernetes {

class IssuedAuthorizer : public Authorizer, public std::enable_shared_from_this<IssuedAuthorizer> {
 public:
  asio::awaitable<absl::StatusOr<Authorization>> Get(MonotonicTime deadline) final;
  void Refused(const Authorization& refused) final;

 protected:
  struct Issued {
    Authorization authorization;
    // From when on the next one is wanted, and when this one stops being of use.
    MonotonicTime renew_at = MonotonicTime::max();
    MonotonicTime expires_at = MonotonicTime::max();
  };

  // `name` completes "waiting for the NAME" in errors.
  IssuedAuthorizer(std::string name, asio::io_context& context, const Clock& clock)
      : clock_(clock), task_(context, clock, std::move(name)) {}

  // The next credential. Never called again before it has returned.
  virtual asio::awaitable<absl::StatusOr<Issued>> Issue() = 0;

  const Clock& clock() const { return clock_; }

 private:
  asio::awaitable<absl::Status> Renew();

  const Clock& clock_;
  SharedTask task_;
  std::optional<Issued> current_;
  MonotonicTime issued_at_;
  bool refused_ = false;         // of `current_`
  bool is_replacement_ = false;  // it came after one that was refused
  // The last attempt's failure, and until when it is the answer.
  absl::Status failure_;
  MonotonicTime retry_at_;
};

}  // namespace secretfs::providers::kubernetes
