#pragma once

// Single calls to secrets engines: read a secret, list names. Each asks one API path once and says
// what the answer means; which paths to ask, and what to do when the token is refused, is the
// provider's.
//
// Thread-safety: I/O thread only. Free functions without state.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/provider.h"
#include "providers/vault/mounts.h"
#include "providers/vault/outcome.h"
#include "providers/vault/vault_client.h"
#include "providers/vault/vault_key.h"

namespace secretfs::providers::vault {

// `is_final`: another reading of the same key cannot help (the version is deleted, the server is
// down).
struct ReadResult {
  absl::StatusOr<SecretPtr> result;
  bool token_is_invalid = false;
  bool is_final = false;
};
asio::awaitable<ReadResult> ReadSecret(std::shared_ptr<Client> client, Location location,
                                       std::string version, TokenBytes token,
                                       MonotonicTime deadline);

struct ListResult {
  absl::StatusOr<std::vector<ListEntry>> result;
  bool token_is_invalid = false;
  bool is_final = false;
};
// An engine without any secret has an empty root; elsewhere nothing is NotFound.
asio::awaitable<ListResult> ListNames(std::shared_ptr<Client> client, Location location,
                                      TokenBytes token, MonotonicTime deadline);

// The key-value engines that the token may see, by the path component that follows `prefix`.
asio::awaitable<Outcome<std::vector<ListEntry>>> ListMounts(std::shared_ptr<Mounts> mounts,
                                                            std::string prefix, TokenBytes token,
                                                            MonotonicTime deadline);

}  // namespace secretfs::providers::vault
