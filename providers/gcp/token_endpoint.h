#pragma once

// Requests to servers that give out access tokens, and their answers: OAuth 2.0 token endpoints
// (RFC 6749, 7523, 8693) and IAM's generateAccessToken. Here is where their errors become canonical
// codes: a refused credential is Unauthenticated, what a later attempt may not meet is Unavailable.
// Of refusals the OAuth error code and a bounded, harmless form of its description are quoted; of
// other answers nothing.
//
// Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/gcp/gcp_client.h"

namespace secretfs::providers::gcp {

inline constexpr std::string_view kScope = "https://www.googleapis.com/auth/cloud-platform";

struct AccessToken {
  SecretBytes token;
  Duration life{0};  // from now
};

// An application/x-www-form-urlencoded body in locked memory.
class Form {
 public:
  Form& Add(std::string_view name, std::string_view value);
  SecretBytes Finish() { return SecretBytes::CopyOf(std::string_view(text_)); }

 private:
  SecretString text_;
};

struct TokenAnswer {
  absl::StatusOr<AccessToken> token = absl::UnknownError("");
  std::string error;  // the OAuth error code of a refusal: "invalid_grant"
  std::optional<WallTime> server_time;
};

struct TokenRequest {
  std::string url;
  SecretBytes body;           // a Form
  SecretBytes authorization;  // the header's value; empty: none
  std::string_view doing;     // "trading … for an access token", for errors; a literal
  MonotonicTime deadline = MonotonicTime::max();
};
asio::awaitable<TokenAnswer> RequestToken(std::shared_ptr<Client> client, TokenRequest request);

// "Basic …" of RFC 7617.
SecretBytes BasicAuthorization(std::string_view user, const SecretBytes& password);
// "Bearer …"
SecretBytes BearerAuthorization(const SecretBytes& token);

// The body of a success at a token endpoint, and of one of generateAccessToken, whose end of life
// is a time of the server's clock (`now`). Pure; Unavailable when it is none.
absl::StatusOr<AccessToken> ParseTokenGrant(std::string_view body);
absl::StatusOr<AccessToken> ParseImpersonationGrant(std::string_view body, WallTime now);

// What a token endpoint says in a refusal. Both are safe to print; `error` may be empty.
struct OAuthError {
  std::string error;
  std::string description;
};
OAuthError ParseOAuthError(std::string_view body);

// The token made fit for a header: printable characters without spaces only.
bool IsUsableToken(std::string_view token);

}  // namespace secretfs::providers::gcp
