#include "providers/gcp/token_endpoint.h"

#include <algorithm>
#include <charconv>

#include "absl/time/time.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/http/http_status.h"
#include "providers/http/url.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::gcp {
namespace {

constexpr size_t kAnswerLimit = 256 << 10;
constexpr size_t kLongestDescription = 200;
// A longer run of characters in a description may be a token that the server repeats.
constexpr size_t kLongestWord = 40;
// Where the server does not say how long a token lives.
constexpr Duration kUnknownLife = std::chrono::minutes(5);
constexpr std::chrono::seconds kLongestLife = std::chrono::hours(24);

std::string_view TextOf(const SecretJson& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  const auto* text = found->get_ptr<const SecretString*>();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

absl::Status NoGrant(std::string_view what) {
  return absl::UnavailableError(Format("the answer holds no token: {}", what));
}

absl::StatusOr<SecretJson> ParseAnswer(std::string_view body) {
  absl::StatusOr<SecretJson> json = ParseSecretJson(body);
  if (!json.ok()) return NoGrant(MessageOf(json.status()));
  if (!json->is_object()) return NoGrant("it is no JSON object");
  return json;
}

// expires_in, which some servers send as text.
Duration LifeOf(const SecretJson& answer) {
  const auto found = answer.find("expires_in");
  if (found == answer.end()) return kUnknownLife;
  int64_t seconds = -1;
  if (found->is_number_integer()) {
    seconds = found->get<int64_t>();
  } else if (const auto* text = found->get_ptr<const SecretString*>()) {
    std::from_chars(text->data(), text->data() + text->size(), seconds);
  }
  if (seconds < 0) return kUnknownLife;
  return std::min(std::chrono::seconds(seconds), kLongestLife);
}

// One line of printable words, none of which is long enough to be a token.
std::string Harmless(std::string_view text) {
  std::string result, word;
  const auto end_word = [&result, &word] {
    if (word.empty()) return;
    if (!result.empty()) result += ' ';
    result += word.size() > kLongestWord ? "…" : word;
    word.clear();
  };
  for (const char c : text) {
    if (c > ' ' && c <= '~') {
      word += c;
    } else {
      end_word();
    }
    if (result.size() > kLongestDescription) break;
  }
  end_word();
  if (result.size() > kLongestDescription) result.resize(kLongestDescription);
  return result;
}

bool IsTemporary(std::string_view error) {
  return error == "internal_failure" || error == "server_error" ||
         error == "temporarily_unavailable";
}

absl::Status RefusalOf(const HttpResponse& response, const OAuthError& error, absl::Status status) {
  // A plain 4xx that no token endpoint wrote comes from something in between.
  if (IsTransient(status)) return status;
  absl::StatusCode code = absl::StatusCode::kUnauthenticated;
  if (IsTemporary(error.error) || (error.error.empty() && response.status != 401)) {
    code = absl::StatusCode::kUnavailable;
  }
  std::string message(MessageOf(status));
  if (!error.error.empty()) message += Format(": {}", error.error);
  if (!error.description.empty()) message += Format(" ({})", error.description);
  return absl::Status(code, message);
}

}  // namespace

Form& Form::Add(std::string_view name, std::string_view value) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (!text_.empty()) text_ += '&';
  text_ += name;
  text_ += '=';
  for (const char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      text_ += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text_ += '%';
      text_ += kDigits[byte >> 4];
      text_ += kDigits[byte & 15];
    }
  }
  return *this;
}

asio::awaitable<TokenAnswer> RequestToken(std::shared_ptr<Client> client, TokenRequest request) {
  const std::string what = Format("{}, {}", UrlForMessages(request.url), request.doing);
  HttpRequest http;
  http.method = "POST";
  http.url = request.url;
  http.headers.emplace_back("Content-Type",
                            SecretBytes::CopyOf("application/x-www-form-urlencoded"));
  if (!request.authorization.empty()) {
    http.headers.emplace_back("Authorization", std::move(request.authorization));
  }
  http.body = std::move(request.body);
  http.deadline = request.deadline;
  http.body_limit = kAnswerLimit;
  TokenAnswer answer;
  const absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(http));
  if (!response.ok()) {
    answer.token = WithContext(response.status(), request.doing);
    co_return answer;
  }
  answer.server_time = ServerTime(*response);
  const std::string_view body = response->body.ExposeAsText();
  const absl::Status status = HttpStatus(*response, what, client->clock().WallNow());
  if (status.ok()) {
    absl::StatusOr<AccessToken> grant = ParseTokenGrant(body);
    if (!grant.ok()) grant = WithContext(grant.status(), what);
    answer.token = std::move(grant);
    co_return answer;
  }
  const OAuthError error = ParseOAuthError(body);
  answer.error = error.error;
  answer.token = RefusalOf(*response, error, status);
  co_return answer;
}

SecretBytes BasicAuthorization(std::string_view user, const SecretBytes& password) {
  SecretString pair(user);
  pair += ':';
  pair += password.ExposeAsText();
  const SecretBytes encoded = EncodeBase64(std::as_bytes(std::span(pair.data(), pair.size())));
  SecretString value("Basic ");
  value += encoded.ExposeAsText();
  return SecretBytes::CopyOf(std::string_view(value));
}

SecretBytes BearerAuthorization(const SecretBytes& token) {
  SecretString value("Bearer ");
  value += token.ExposeAsText();
  return SecretBytes::CopyOf(std::string_view(value));
}

absl::StatusOr<AccessToken> ParseTokenGrant(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson answer, ParseAnswer(body));
  const std::string_view token = TextOf(answer, "access_token");
  if (!IsUsableToken(token)) return NoGrant("access_token is missing or no token");
  return AccessToken{SecretBytes::CopyOf(token), LifeOf(answer)};
}

absl::StatusOr<AccessToken> ParseImpersonationGrant(std::string_view body, WallTime now) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson answer, ParseAnswer(body));
  const std::string_view token = TextOf(answer, "accessToken");
  if (!IsUsableToken(token)) return NoGrant("accessToken is missing or no token");
  absl::Time end;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(TextOf(answer, "expireTime")), &end, &error)) {
    return NoGrant("expireTime is no time");
  }
  const auto life = std::chrono::seconds(absl::ToUnixSeconds(end)) -
                    std::chrono::floor<std::chrono::seconds>(now.time_since_epoch());
  return AccessToken{SecretBytes::CopyOf(token),
                     std::clamp<std::chrono::seconds>(life, std::chrono::seconds(0), kLongestLife)};
}

OAuthError ParseOAuthError(std::string_view body) {
  OAuthError result;
  const absl::StatusOr<SecretJson> json = ParseSecretJson(body);
  if (!json.ok() || !json->is_object()) return result;
  const std::string_view error = TextOf(*json, "error");
  const bool good = error.size() <= kLongestWord &&
                    std::all_of(error.begin(), error.end(),
                                [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  if (!good || error.empty()) return result;
  result.error = error;
  result.description = Harmless(TextOf(*json, "error_description"));
  return result;
}

bool IsUsableToken(std::string_view token) {
  return !token.empty() &&
         std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace secretfs::providers::gcp
