#include "providers/azure/key_vault.h"

#include <array>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/azure/azure_response.h"
#include "providers/http/http_status.h"
#include "providers/http/url.h"

namespace secretfs::providers::azure {
namespace {

// Secrets are at most 25 KiB, pages 25 items; certificates carry their policy.
constexpr size_t kAnswerLimit = size_t{2} << 20;

// What the codes of an error mean, in own words: the vault's texts repeat names and addresses.
struct Explanation {
  std::string_view code;
  std::string_view text;
};
constexpr std::array<Explanation, 12> kExplanations{{
    {"SecretDisabled", "it is disabled"},
    {"KeyDisabled", "it is disabled"},
    {"CertificateDisabled", "it is disabled"},
    {"ForbiddenByPolicy", "the vault's access policies do not allow it"},
    {"AccessDenied", "the vault's access policies do not allow it"},
    {"ForbiddenByRbac", "no role assignment allows it; 'Key Vault Secrets User' reads secrets"},
    {"ForbiddenByFirewall", "the vault's firewall does not let this address in"},
    {"ForbiddenByConnection", "the vault is reachable through its private endpoint only"},
    {"SecretNotFound", "there is none, or it was deleted and can be recovered"},
    {"KeyNotFound", "there is none, or it was deleted and can be recovered"},
    {"CertificateNotFound", "there is none, or it was deleted and can be recovered"},
    {"ObjectIsDeletedButRecoverable", "it was deleted and can be recovered"},
}};

std::string_view Explain(const VaultError& error) {
  for (const std::string& code : {error.inner_code, error.code}) {
    for (const Explanation& explanation : kExplanations) {
      if (explanation.code == code) return explanation.text;
    }
  }
  return "";
}

// Deleted objects are gone for readers, whatever the status says about them.
bool IsDeleted(const VaultError& error) {
  for (const std::string* code : {&error.code, &error.inner_code}) {
    if (code->find("DeletedButRecoverable") != std::string::npos) return true;
    if (code->find("BeingDeleted") != std::string::npos) return true;
  }
  return false;
}

std::string ChallengeOf(const HttpResponse& response) {
  // Several headers are possible; the Bearer one counts.
  const auto [begin, end] = response.headers.equal_range("www-authenticate");
  std::string first;
  for (auto header = begin; header != end; ++header) {
    if (ParseChallenge(header->second).ok()) return header->second;
    if (first.empty()) first = header->second;
  }
  return first;
}

}  // namespace

bool IsNextPage(const std::string& next_link, const std::string& address, std::string_view path) {
  const absl::StatusOr<Origin> next = OriginOf(next_link);
  const absl::StatusOr<Origin> own = OriginOf(address);
  if (!next.ok() || !own.ok() || !(*next == *own)) return false;
  // With user information the text would not begin like this.
  const size_t authority = next_link.find("://") + 3;
  const size_t slash = next_link.find('/', authority);
  if (slash == std::string::npos || next_link.find('@') < slash) return false;
  if (next_link.find('\\') != std::string::npos) return false;
  const std::string_view rest = std::string_view(next_link).substr(slash + 1);
  return rest.starts_with(path) && rest.substr(path.size()).starts_with('?') &&
         rest.find('#') == std::string_view::npos;
}

asio::awaitable<absl::StatusOr<HttpResponse>> KeyVault::Send(std::string url, TokenBytes token,
                                                             MonotonicTime deadline) {
  HttpRequest request;
  request.url = std::move(url);
  request.headers.emplace_back("Accept", SecretBytes::CopyOf("application/json"));
  if (token != nullptr) {
    constexpr std::string_view kBearer = "Bearer ";
    SecretBuilder header(kBearer.size() + token->size());
    (void)header.Append(kBearer);
    (void)header.Append(token->bytes());
    request.headers.emplace_back("Authorization", header.Finish());
  }
  request.deadline = deadline;
  request.body_limit = kAnswerLimit;
  absl::StatusOr<HttpResponse> response = co_await transport_->Send(std::move(request));
  if (!response.ok()) co_return WithContext(response.status(), Format("Key Vault at {}", host_));
  co_return response;
}

asio::awaitable<absl::StatusOr<SecretBytes>> KeyVault::GetUrl(std::string url, std::string doing,
                                                              MonotonicTime deadline) {
  TokenBytes token;
  if (session_->KnowsAudience()) {
    absl::StatusOr<TokenBytes> got = co_await session_->Token(deadline);
    if (!got.ok()) co_return WithContext(got.status(), Format("Key Vault at {}", host_));
    token = *std::move(got);
  }
  absl::StatusOr<HttpResponse> response = co_await Send(url, token, deadline);
  if (!response.ok()) co_return response.status();
  if (response->status != 401) {
    session_->Accepted(token);
  } else {
    const std::string context = Format("Key Vault at {}, {}", host_, doing);
    const absl::Status learned = session_->Learn(ChallengeOf(*response));
    if (!learned.ok()) co_return WithContext(learned, context);
    const absl::Status replaced = co_await session_->Replace(token, deadline);
    if (!replaced.ok()) co_return WithContext(replaced, context);
    absl::StatusOr<TokenBytes> newer = co_await session_->Token(deadline);
    if (!newer.ok()) co_return WithContext(newer.status(), context);
    TokenBytes second = *std::move(newer);
    response = co_await Send(url, second, deadline);
    if (!response.ok()) co_return response.status();
    if (response->status != 401) session_->Accepted(second);
  }
  const absl::Status status = StatusOf(*response, doing);
  if (!status.ok()) co_return status;
  co_return std::move(response->body);
}

absl::Status KeyVault::StatusOf(const HttpResponse& response, std::string_view doing) const {
  const std::string what = Format("Key Vault at {}, {}", host_, doing);
  const absl::Status status = HttpStatus(response, what, clock().WallNow());
  if (status.ok()) return status;
  const VaultError error = ParseVaultError(response.body.ExposeAsText());
  const std::string_view explanation = Explain(error);
  std::string message(MessageOf(status));
  if (!explanation.empty()) message += Format(": {}", explanation);
  const bool deleted = response.status < 500 && IsDeleted(error);
  absl::Status detailed(deleted ? absl::StatusCode::kNotFound : status.code(), message);
  if (const auto delay = RetryAfter(status)) SetRetryAfter(detailed, *delay);
  return detailed;
}

asio::awaitable<absl::StatusOr<SecretBytes>> KeyVault::Get(std::string path, std::string query,
                                                           std::string doing,
                                                           MonotonicTime deadline) {
  std::string url = Format("{}/{}?api-version={}{}{}", address_, path, kApiVersion,
                           query.empty() ? "" : "&", query);
  co_return co_await GetUrl(std::move(url), std::move(doing), deadline);
}

asio::awaitable<absl::StatusOr<SecretBytes>> KeyVault::GetPage(std::string next_link,
                                                               std::string path, std::string doing,
                                                               MonotonicTime deadline) {
  if (!IsNextPage(next_link, address_, path)) {
    co_return absl::FailedPreconditionError(
        Format("Key Vault at {}, {}: its next page lies elsewhere, where the token is not sent",
               host_, doing));
  }
  co_return co_await GetUrl(std::move(next_link), std::move(doing), deadline);
}

}  // namespace secretfs::providers::azure
