#pragma once

// Extending and giving back the lease of a dynamic secret: single calls, as in engines.h.

#include <asio/awaitable.hpp>
#include <memory>

#include "providers/provider.h"
#include "providers/vault/outcome.h"
#include "providers/vault/vault_client.h"

namespace secretfs::providers::vault {

// NotFound when the lease is over, FailedPrecondition when it cannot be extended: in both cases the
// secret has to be fetched anew.
asio::awaitable<Outcome<Lease>> RenewLease(std::shared_ptr<Client> client, Lease lease,
                                           TokenBytes token, MonotonicTime deadline);

// Always true when it succeeds.
asio::awaitable<Outcome<bool>> RevokeLease(std::shared_ptr<Client> client, Lease lease,
                                           TokenBytes token, MonotonicTime deadline);

}  // namespace secretfs::providers::vault
