#include "providers/vault/vault_client.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/http/http_status.h"
#include "providers/vault/vault_key.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

absl::StatusOr<std::string> NormalAddress(std::string_view server, Plaintext allowed) {
  const bool tls = server.starts_with("https://");
  if (!tls && !server.starts_with("http://")) {
    return absl::InvalidArgumentError(Format(
        "the Vault server '{}' must be a URL such as https://vault.example.com:8200", server));
  }
  const size_t scheme = server.find("://") + 3;
  while (server.size() > scheme && server.ends_with('/')) server.remove_suffix(1);
  if (server.ends_with("/v1")) server.remove_suffix(3);
  const std::string_view host = server.substr(scheme);
  if (host.empty() || host.find_first_of("?#@ ") != std::string_view::npos) {
    return absl::InvalidArgumentError(
        "the Vault server's URL must be scheme, host, port and perhaps a path, without user, "
        "query or fragment");
  }
  std::string address(server);
  SECRETFS_RETURN_IF_ERROR(CheckConfidential(address, allowed, "the Vault server"));
  return address;
}

absl::Status CheckHeaders(const std::map<std::string, std::string>& headers) {
  for (const auto& [name, value] : headers) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "x-vault-token" || lower == "x-vault-namespace") {
      return absl::InvalidArgumentError(
          Format("the header {} cannot be configured: use auth and namespace", name));
    }
    if (name.empty() || name.find_first_of(":\r\n ") != std::string::npos ||
        value.find_first_of("\r\n") != std::string::npos) {
      return absl::InvalidArgumentError(Format("the header '{}' is not a valid HTTP header", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Client>> Client::Make(const VaultStoreConfig& config,
                                                     asio::io_context& context,
                                                     const Clock& clock) {
  SECRETFS_ASSIGN_OR_RETURN(std::string address,
                            NormalAddress(config.server, PlaintextFor(config.tls)));
  SECRETFS_RETURN_IF_ERROR(CheckHeaders(config.headers));
  return std::shared_ptr<Client>(new Client(std::move(address), config, context, clock));
}

Client::Client(std::string address, const VaultStoreConfig& config, asio::io_context& context,
               const Clock& clock)
    : address_(std::move(address)),
      name_space_(WithoutEndSlashes(config.name_space)),
      headers_(config.headers),
      context_(context),
      clock_(clock),
      http_(std::make_unique<HttpClient>(
          context, clock,
          HttpClientOptions{.tls = config.tls, .plaintext = PlaintextFor(config.tls)})) {}

asio::awaitable<absl::StatusOr<HttpResponse>> Client::Send(Call call) {
  if (http_ == nullptr) co_return absl::CancelledError("the store is closed");
  HttpRequest request;
  request.method = std::move(call.method);
  request.url =
      Format("{}/v1/{}{}{}", address_, call.path, call.query.empty() ? "" : "?", call.query);
  // Agents and proxies with require_request_header take nothing else.
  request.headers.emplace_back("X-Vault-Request", SecretBytes::CopyOf("true"));
  if (!name_space_.empty()) {
    request.headers.emplace_back("X-Vault-Namespace", SecretBytes::CopyOf(name_space_));
  }
  if (call.token != nullptr) request.headers.emplace_back("X-Vault-Token", call.token->Clone());
  for (const auto& [name, value] : headers_) {
    request.headers.emplace_back(name, SecretBytes::CopyOf(value));
  }
  if (!call.body.empty()) {
    request.headers.emplace_back("Content-Type", SecretBytes::CopyOf("application/json"));
    request.body = std::move(call.body);
  }
  request.deadline = call.deadline;
  request.body_limit = call.answer_limit;
  absl::StatusOr<HttpResponse> response = co_await http_->Send(std::move(request));
  if (!response.ok()) co_return WithContext(response.status(), Format("Vault at {}", address_));
  co_return response;
}

absl::Status Client::StatusOf(const HttpResponse& response, std::string_view doing) const {
  absl::Status status =
      HttpStatus(response, Format("Vault at {}, {}", address_, doing), clock_.WallNow());
  if (status.ok()) return status;
  if (HasErrorText(response.body.ExposeAsText(), "Vault is sealed")) {
    return WithContext(status, "the server is sealed (somebody must run 'vault operator unseal')");
  }
  return status;
}

absl::Status Client::StatusWithReason(const HttpResponse& response, std::string_view doing) const {
  const absl::Status status = StatusOf(response, doing);
  if (status.ok()) return status;
  const std::string texts = ErrorTexts(response.body.ExposeAsText());
  if (texts.empty()) return status;
  absl::Status detailed(status.code(), Format("{}: {}", MessageOf(status), texts));
  if (const auto delay = RetryAfter(status)) SetRetryAfter(detailed, *delay);
  return detailed;
}

bool SaysInvalidToken(const HttpResponse& response) {
  return response.status == 403 && HasErrorText(response.body.ExposeAsText(), "invalid token");
}

}  // namespace secretfs::providers::vault
