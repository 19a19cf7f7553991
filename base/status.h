#pragma once

// How expected failures travel in secretfs: absl::Status with gRPC's canonical codes, plus the two
// macros that keep call sites short and the payload that carries a store's Retry-After.
//
// Providers choose a code once (see providers/http/http_status.h), base/errno_table.h turns it into
// what a reader of a file gets, and the Kubernetes deliveries return it as it is. A status message
// never holds a secret value; it says what was wrong, where, and what to do.

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define SECRETFS_STATUS_CONCAT_INNER(a, b) a##b
#define SECRETFS_STATUS_CONCAT(a, b) SECRETFS_STATUS_CONCAT_INNER(a, b)

// Returns the status of `expression` from the enclosing function unless it is OK.
#define SECRETFS_RETURN_IF_ERROR(expression) \
  if (absl::Status secretfs_status = (expression); !secretfs_status.ok()) return secretfs_status

// Declares or assigns `target` from a StatusOr, or returns its status. `target` must not hold a
// comma outside parentheses.
#define SECRETFS_ASSIGN_OR_RETURN(target, expression)                                     \
  SECRETFS_ASSIGN_OR_RETURN_INNER(SECRETFS_STATUS_CONCAT(secretfs_or_, __LINE__), target, \
                                  expression)
#define SECRETFS_ASSIGN_OR_RETURN_INNER(temporary, target, expression) \
  auto temporary = (expression);                                       \
  if (!temporary.ok()) return std::move(temporary).status();           \
  target = *std::move(temporary)

// The same two for coroutines.
#define SECRETFS_CO_RETURN_IF_ERROR(expression) \
  if (absl::Status secretfs_status = (expression); !secretfs_status.ok()) co_return secretfs_status
#define SECRETFS_CO_ASSIGN_OR_RETURN(target, expression)                                     \
  SECRETFS_CO_ASSIGN_OR_RETURN_INNER(SECRETFS_STATUS_CONCAT(secretfs_or_, __LINE__), target, \
                                     expression)
#define SECRETFS_CO_ASSIGN_OR_RETURN_INNER(temporary, target, expression) \
  auto temporary = (expression);                                          \
  if (!temporary.ok()) co_return std::move(temporary).status();           \
  target = *std::move(temporary)

namespace secretfs {

// Attaches how long the store asked to be left alone (HTTP Retry-After) to a failure.
void SetRetryAfter(absl::Status& status, std::chrono::milliseconds delay);

// What SetRetryAfter attached, if anything.
std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status);

// The same failure with `context` and ": " in front of its message; payloads are kept.
absl::Status WithContext(const absl::Status& status, std::string_view context);

// True for failures that a later attempt may not meet: unavailable, resource exhausted, deadline
// exceeded, aborted, internal. Not found, denied, unauthenticated and invalid are answers, not
// outages.
bool IsTransient(const absl::Status& status);

}  // namespace secretfs
