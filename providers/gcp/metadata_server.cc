#include "providers/gcp/metadata_server.h"

#include <fstream>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/token_endpoint.h"
#include "providers/gcp/token_source.h"
#include "providers/http/http_status.h"

namespace secretfs::providers::gcp {
namespace {

constexpr size_t kMetadataAnswerLimit = 256 << 10;
constexpr const char* kProductName = "/sys/class/dmi/id/product_name";

// What Google's own clients look at where no variable names the server.
bool IsGoogleMachine() {
  std::ifstream file(kProductName);
  std::string name;
  std::getline(file, name);
  return name.starts_with("Google");
}

class MetadataSource final : public TokenSource {
 public:
  explicit MetadataSource(std::shared_ptr<MetadataServer> metadata)
      : metadata_(std::move(metadata)) {}

  std::string Description() const override {
    return Format("the service account of this machine (metadata server {})", metadata_->host());
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    std::string path = Format("instance/service-accounts/default/token?scopes={}", kScope);
    const absl::StatusOr<SecretBytes> answer = co_await metadata_->Get(std::move(path), deadline);
    if (absl::IsNotFound(answer.status())) {
      co_return absl::FailedPreconditionError(
          Format("this machine has no service account ({}); attach one, or name a credentials file",
                 MessageOf(answer.status())));
    }
    if (!answer.ok()) co_return answer.status();
    absl::StatusOr<AccessToken> token = ParseTokenGrant(answer->ExposeAsText());
    if (!token.ok()) co_return WithContext(token.status(), "the metadata server");
    co_return token;
  }

 private:
  std::shared_ptr<MetadataServer> metadata_;
};

}  // namespace

MetadataServer::MetadataServer(std::string host, std::shared_ptr<Client> client)
    : host_given_(!host.empty()),
      host_(host.empty() ? "metadata.google.internal" : std::move(host)),
      client_(std::move(client)) {}

asio::awaitable<absl::StatusOr<SecretBytes>> MetadataServer::Get(std::string path,
                                                                 MonotonicTime deadline) {
  HttpRequest request;
  request.url = Format("http://{}/computeMetadata/v1/{}", host_, path);
  request.headers.emplace_back("Metadata-Flavor", SecretBytes::CopyOf("Google"));
  request.deadline = deadline;
  request.body_limit = kMetadataAnswerLimit;
  absl::StatusOr<HttpResponse> response = co_await client_->SendDirectly(std::move(request));
  if (!response.ok()) {
    if (absl::IsCancelled(response.status()) || host_given_ || IsGoogleMachine()) {
      co_return response.status();
    }
    co_return absl::FailedPreconditionError(
        Format("no Google credentials: no credentials file is configured, gcloud has left none "
               "('gcloud auth application-default login' makes one), and this machine is none of "
               "Google's ({})",
               MessageOf(response.status())));
  }
  const auto flavor = response->headers.find("metadata-flavor");
  if (flavor == response->headers.end() || flavor->second != "Google") {
    co_return absl::UnavailableError(Format(
        "what answers at {} is not Google's metadata server (no Metadata-Flavor header)", host_));
  }
  const std::string what =
      Format("the metadata server at {}, asking for {}", host_, path.substr(0, path.find('?')));
  const absl::Status status = HttpStatus(*response, what, client_->clock().WallNow());
  if (!status.ok()) co_return status;
  co_return std::move(response->body);
}

std::unique_ptr<TokenSource> MakeMetadataSource(std::shared_ptr<MetadataServer> metadata) {
  return std::make_unique<MetadataSource>(std::move(metadata));
}

}  // namespace secretfs::providers::gcp
