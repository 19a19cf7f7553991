#pragma once

// What secrets engines a server has, as far as keys led there: a mount is asked about once, however
// many reads need it, and remembered until somebody finds that it changed. That a token may not
// know is remembered too, for a while.
//
// Thread-safety: I/O thread only; make it with std::make_shared.

#include <asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/auth/shared_task.h"
#include "providers/vault/vault_client.h"
#include "providers/vault/vault_key.h"

namespace secretfs::providers::vault {

class Mounts : public std::enable_shared_from_this<Mounts> {
 public:
  explicit Mounts(std::shared_ptr<Client> client) : client_(std::move(client)) {}

  // The mount that the full path `path` lies in; not set when the token may not know, or there is
  // none (Vault does not tell the difference). Unauthenticated when the token itself is not good.
  asio::awaitable<absl::StatusOr<std::optional<Mount>>> Find(std::string path, TokenBytes token,
                                                             MonotonicTime deadline);

  // All mounts that the token may see; PermissionDenied, Unauthenticated as above.
  asio::awaitable<absl::StatusOr<std::vector<Mount>>> All(TokenBytes token, MonotonicTime deadline);

  // `mount` does not behave as it is remembered: the next Find asks again, at most once a minute.
  void Doubt(std::string_view mount);

 private:
  struct Known {
    Mount mount;
    MonotonicTime since;
  };
  std::optional<Mount> FindKnown(std::string_view path) const;
  bool MayNotKnow(std::string_view path);
  void Learn(Mount mount);
  asio::awaitable<absl::Status> Ask(std::string path, TokenBytes token);

  std::shared_ptr<Client> client_;
  std::map<std::string, Known, std::less<>> known_;  // by the mount's path
  // Both by a path's first component: when a path's mount may not be known, all that the token may
  // see were looked through, so another path there need not ask.
  std::map<std::string, MonotonicTime, std::less<>> may_not_know_since_;
  std::map<std::string, std::unique_ptr<SharedTask>, std::less<>> asking_;
};

}  // namespace secretfs::providers::vault
