#pragma once

// What one call made with a token came to: its result, and whether the server refused because it
// does not know the token (so that a new login is worth it). RunWithToken is that rule: a token,
// the call, and after a refusal one more call with a newer token if there is one.

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "providers/vault/session.h"

namespace secretfs::providers::vault {

template <typename T>
struct Outcome {
  absl::StatusOr<T> result;
  bool token_is_invalid = false;
};

template <typename T>
using Operation = std::function<asio::awaitable<Outcome<T>>(TokenBytes)>;

template <typename T>
asio::awaitable<absl::StatusOr<T>> RunWithToken(std::shared_ptr<Session> session,
                                                Operation<T> operation, MonotonicTime deadline) {
  absl::StatusOr<TokenBytes> token = co_await session->Token(deadline);
  if (!token.ok()) co_return token.status();
  Outcome<T> first = co_await operation(*token);
  const bool refused = first.token_is_invalid || absl::IsPermissionDenied(first.result.status());
  if (!refused) co_return std::move(first.result);
  const absl::StatusOr<bool> again =
      co_await session->RefreshAfterRefusal(*token, first.token_is_invalid, deadline);
  if (!again.ok()) co_return again.status();
  if (!*again) co_return std::move(first.result);
  absl::StatusOr<TokenBytes> newer = co_await session->Token(deadline);
  if (!newer.ok()) co_return newer.status();
  Outcome<T> second = co_await operation(*newer);
  if (!second.token_is_invalid) co_return std::move(second.result);
  co_return absl::Status(absl::StatusCode::kUnauthenticated, second.result.status().message());
}

}  // namespace secretfs::providers::vault
