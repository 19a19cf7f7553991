#pragma once

// What both services look like to the provider: one region of one of them. Names are AWS's own,
// whole.
//
// Thread-safety: I/O thread only. Owned by shared_ptr, shared with the coroutines of its calls.

#include <asio/awaitable.hpp>
#include <string>
#include <vector>

#include "providers/provider.h"

namespace secretfs::providers::aws {

class Backend {
 public:
  virtual ~Backend() = default;

  // One result per ref, in order.
  virtual asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                        MonotonicTime deadline) = 0;
  // One page of what lies directly below the names that begin with `prefix` (which ends with "/" or
  // wherever the store's own prefix ends). An empty page is no error.
  virtual asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                         MonotonicTime deadline) = 0;
  // A request that reads no secret: OK also when it is denied, for then the login was accepted.
  virtual asio::awaitable<absl::Status> Probe(MonotonicTime deadline) = 0;
};

}  // namespace secretfs::providers::aws
