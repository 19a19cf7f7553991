#include "providers/aws/http_credentials.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"
#include "providers/aws/credentials_answer.h"
#include "providers/aws/transport.h"
#include "providers/http/http_status.h"
#include "providers/http/url.h"

namespace secretfs::providers::aws {
namespace {

constexpr size_t kCredentialsLimit = 64 << 10;
// Where nothing answers, a container's or workstation's first read must not wait for long.
constexpr Duration kInstancePatience = std::chrono::seconds(2);

}  // namespace

HttpCredentials::HttpCredentials(asio::io_context& context, const Clock& clock,
                                 const TlsConfig& tls)
    : clock_(clock),
      http_(std::make_shared<HttpClient>(
          context, clock,
          HttpClientOptions{.tls = tls, .use_proxy = false, .plaintext = Plaintext::kMetadata})) {}

absl::Status CheckContainerUrl(const std::string& url) {
  SECRETFS_ASSIGN_OR_RETURN(const Origin origin, OriginOf(url));
  const std::string& host = origin.host;
  if (origin.scheme == "https" || IsLoopback(host) || host == "169.254.170.2" ||
      host == "169.254.170.23" || host == "[fd00:ec2::23]") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      Format("credentials from {} would travel without TLS: use https, or an address of this "
             "machine, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
             UrlForMessages(url)));
}

asio::awaitable<absl::StatusOr<HttpResponse>> HttpCredentials::Send(HttpRequest request,
                                                                    std::string what) {
  const std::shared_ptr<HttpClient> client = http_;
  if (client == nullptr) co_return absl::CancelledError("the store is closed");
  request.body_limit = kCredentialsLimit;
  absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(request));
  if (!response.ok()) co_return WithContext(response.status(), what);
  const absl::Status status = HttpStatus(*response, what, clock_.WallNow());
  if (!status.ok()) co_return status;
  co_return response;
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> HttpCredentials::FromContainer(
    std::string url, CredentialSource token, MonotonicTime deadline) {
  const absl::Status allowed = CheckContainerUrl(url);
  if (!allowed.ok()) co_return allowed;
  const std::string what = Format("the container credentials of {}", UrlForMessages(url));
  HttpRequest request;
  request.url = std::move(url);
  request.deadline = deadline;
  if (!token.empty()) {
    Credential credential(std::move(token), "authorization token");
    absl::StatusOr<SecretBytes> value = credential.Read();
    if (!value.ok()) co_return value.status();
    request.headers.emplace_back("Authorization", *std::move(value));
  }
  const absl::StatusOr<HttpResponse> response = co_await Send(std::move(request), what);
  if (!response.ok()) co_return response.status();
  absl::StatusOr<AwsCredentials> credentials = ParseCredentials(
      response->body.ExposeAsText(), DateOf(*response).value_or(clock_.WallNow()), clock_.Now());
  if (!credentials.ok()) co_return WithContext(credentials.status(), what);
  co_return std::make_shared<const AwsCredentials>(*std::move(credentials));
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> HttpCredentials::FromInstance(
    std::string endpoint, MonotonicTime deadline) {
  const std::string what = Format("the instance metadata at {}", endpoint);
  HttpRequest session;
  session.method = "PUT";
  session.url = endpoint + "/latest/api/token";
  session.headers.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", SecretBytes::CopyOf("300"));
  session.deadline = std::min(deadline, clock_.Now() + kInstancePatience);
  absl::StatusOr<HttpResponse> token = co_await Send(std::move(session), what);
  if (!token.ok()) co_return token.status();

  const std::string roles = endpoint + "/latest/meta-data/iam/security-credentials/";
  HttpRequest list;
  list.url = roles;
  list.headers.emplace_back("X-aws-ec2-metadata-token", token->body.Clone());
  list.deadline = deadline;
  const absl::StatusOr<HttpResponse> names = co_await Send(std::move(list), what);
  if (!names.ok()) co_return names.status();
  const std::string_view text = names->body.ExposeAsText();
  const std::string role(text.substr(0, text.find_first_of("\r\n")));
  const bool is_name = !role.empty() && std::all_of(role.begin(), role.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  });
  if (!is_name) co_return absl::NotFoundError(what + ": the instance has no role");

  HttpRequest get;
  get.url = roles + role;
  get.headers.emplace_back("X-aws-ec2-metadata-token", token->body.Clone());
  get.deadline = deadline;
  const absl::StatusOr<HttpResponse> response = co_await Send(std::move(get), what);
  if (!response.ok()) co_return response.status();
  absl::StatusOr<AwsCredentials> credentials = ParseCredentials(
      response->body.ExposeAsText(), DateOf(*response).value_or(clock_.WallNow()), clock_.Now());
  if (!credentials.ok()) co_return WithContext(credentials.status(), what);
  co_return std::make_shared<const AwsCredentials>(*std::move(credentials));
}

}  // namespace secretfs::providers::aws
