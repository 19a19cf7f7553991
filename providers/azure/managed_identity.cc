// Managed identities: the machine itself hands out tokens, at a link-local address (IMDS) or at the
// endpoint that App Service, Functions and Container Apps put into the environment.

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"
#include "providers/azure/token_source.h"
#include "providers/http/http_status.h"

namespace secretfs::providers::azure {
namespace {

constexpr std::string_view kMetadataHost = "http://169.254.169.254";
constexpr size_t kMetadataAnswerLimit = size_t{256} << 10;
// It is on the same machine or nowhere: outside Azure the address leads into silence.
constexpr Duration kPatience = std::chrono::seconds(5);

std::string Encode(std::string_view text) {
  constexpr std::string_view kPlain = "-._~";
  std::string encoded;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      encoded.push_back(c);
    } else {
      encoded += Format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

class ManagedIdentitySource final : public TokenSource {
 public:
  ManagedIdentitySource(AzureManagedIdentityAuth auth, const AzureStoreConfig& config,
                        std::shared_ptr<Transport> transport)
      : auth_(std::move(auth)),
        app_service_(config.identity_endpoint),
        header_(config.identity_header, "identity header"),
        transport_(std::move(transport)) {
    metadata_host_ = config.metadata_host.empty() ? kMetadataHost : config.metadata_host;
    while (metadata_host_.ends_with('/')) metadata_host_.pop_back();
  }

  std::string Description() const override {
    const std::string& id = !auth_.client_id.empty()   ? auth_.client_id
                            : !auth_.object_id.empty() ? auth_.object_id
                                                       : auth_.resource_id;
    return id.empty() ? "the system-assigned managed identity"
                      : Format("the managed identity {}", id);
  }
  bool NeedsTenant() const override { return false; }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(Audience audience,
                                                   MonotonicTime deadline) override {
    HttpRequest request;
    if (app_service_.empty()) {
      request.url =
          Format("{}/metadata/identity/oauth2/token?api-version=2018-02-01", metadata_host_);
    } else {
      const absl::StatusOr<SecretBytes> header = header_.Read();
      if (!header.ok()) co_return header.status();
      request.headers.emplace_back("X-IDENTITY-HEADER", header->Clone());
      const bool has_query = app_service_.find('?') != std::string::npos;
      request.url = Format("{}{}api-version=2019-08-01", app_service_, has_query ? "&" : "?");
    }
    request.headers.emplace_back("Metadata", SecretBytes::CopyOf("true"));
    request.url += Format("&resource={}{}", Encode(audience.resource), WhichIdentity());
    request.deadline = std::min(deadline, transport_->clock().Now() + kPatience);
    request.body_limit = kMetadataAnswerLimit;
    const absl::StatusOr<HttpResponse> response = co_await transport_->Send(std::move(request));
    if (!response.ok()) {
      co_return WithContext(response.status(),
                            "the service for managed identities (does this run in Azure, and is "
                            "169.254.169.254 reachable from here?)");
    }
    if (response->status != 200) co_return Refusal(*response);
    co_return ParseAccessToken(response->body.ExposeAsText(), transport_->clock().WallNow());
  }

 private:
  std::string WhichIdentity() const {
    if (!auth_.client_id.empty()) return Format("&client_id={}", Encode(auth_.client_id));
    if (!auth_.object_id.empty()) return Format("&object_id={}", Encode(auth_.object_id));
    if (auth_.resource_id.empty()) return "";
    return Format("&{}={}", app_service_.empty() ? "msi_res_id" : "mi_res_id",
                  Encode(auth_.resource_id));
  }

  absl::Status Refusal(const HttpResponse& response) const {
    const absl::Status status = HttpStatus(response, "asking the service for managed identities",
                                           transport_->clock().WallNow());
    switch (response.status) {
      case 400:
        return absl::UnauthenticatedError(
            Format("{}; is the identity assigned to this machine?", MessageOf(status)));
      case 401:
      case 403:
        return absl::UnauthenticatedError(status.message());
      case 404:  // IMDS while it starts
      case 410:  // … and while it is updated, up to 70 s
        return absl::UnavailableError(status.message());
      default:
        return status;
    }
  }

  const AzureManagedIdentityAuth auth_;
  const std::string app_service_;  // empty: the machine's metadata service
  Credential header_;
  std::string metadata_host_;
  std::shared_ptr<Transport> transport_;
};

}  // namespace

std::unique_ptr<TokenSource> MakeManagedIdentitySource(const AzureManagedIdentityAuth& auth,
                                                       const AzureStoreConfig& config,
                                                       std::shared_ptr<Transport> transport) {
  return std::make_unique<ManagedIdentitySource>(auth, config, std::move(transport));
}

}  // namespace secretfs::providers::azure
