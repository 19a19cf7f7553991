#include "providers/kubernetes/api_client.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/http/http_status.h"
#include "providers/kubernetes/kubernetes_response.h"

namespace secretfs::providers::kubernetes {
namespace {

absl::StatusOr<std::string> NormalAddress(std::string_view url) {
  if (!url.starts_with("https://") && !url.starts_with("http://")) {
    return absl::InvalidArgumentError(Format(
        "the API server's url '{}' must be one such as https://kubernetes.example.com:6443", url));
  }
  const size_t scheme = url.find("://") + 3;
  while (url.size() > scheme && url.ends_with('/')) url.remove_suffix(1);
  const std::string_view host = url.substr(scheme);
  if (host.empty() || host.find_first_of("?#@ ") != std::string_view::npos) {
    return absl::InvalidArgumentError(
        "the API server's url must be scheme, host, port and perhaps a path, without user, query "
        "or fragment");
  }
  std::string address(url);
  SECRETFS_RETURN_IF_ERROR(
      CheckConfidential(address, Plaintext::kThisMachine, "the API server's url"));
  return address;
}

}  // namespace

// Counts a call on its connection for as long as it lives.
class ApiClient::InUse {
 public:
  InUse(ApiClient& client, Connection& connection) : client_(client), connection_(connection) {
    ++connection_.calls;
  }
  ~InUse() {
    const bool replaced = &connection_ != &client_.connections_.front();
    if (--connection_.calls > 0 || !replaced) return;
    client_.connections_.remove_if([this](const Connection& it) { return &it == &connection_; });
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  ApiClient& client_;
  Connection& connection_;
};

absl::StatusOr<std::shared_ptr<ApiClient>> ApiClient::Make(std::string url, TlsConfig tls,
                                                           std::shared_ptr<Authorizer> authorizer,
                                                           asio::io_context& context,
                                                           const Clock& clock) {
  SECRETFS_ASSIGN_OR_RETURN(std::string address, NormalAddress(url));
  return std::shared_ptr<ApiClient>(
      new ApiClient(std::move(address), std::move(tls), std::move(authorizer), context, clock));
}

ApiClient::ApiClient(std::string address, TlsConfig tls, std::shared_ptr<Authorizer> authorizer,
                     asio::io_context& context, const Clock& clock)
    : address_(std::move(address)),
      tls_(std::move(tls)),
      context_(context),
      clock_(clock),
      authorizer_(std::move(authorizer)) {}

void ApiClient::Stop() {
  stopped_ = true;
  authorizer_->Stop();
  for (Connection& connection : connections_) connection.http.reset();
}

ApiClient::Connection& ApiClient::ConnectionFor(const Authorization& authorization) {
  if (!connections_.empty() && connections_.front().certificate == authorization.certificate) {
    return connections_.front();
  }
  if (!connections_.empty() && connections_.front().calls == 0) connections_.pop_front();
  TlsConfig tls = tls_;
  if (authorization.certificate != nullptr) {
    tls.client_certificate = authorization.certificate->certificate;
    tls.client_key = authorization.certificate->key;
  }
  connections_.push_front(
      {authorization.certificate,
       std::make_unique<HttpClient>(context_, clock_, HttpClientOptions{.tls = std::move(tls)}),
       0});
  return connections_.front();
}

HttpRequest ApiClient::RequestOf(const Call& call, const Authorization& authorization) const {
  HttpRequest request;
  request.method = call.method;
  request.url = address_ + call.path;
  request.headers.emplace_back("Accept", SecretBytes::CopyOf(call.accept));
  if (authorization.token != nullptr) {
    constexpr std::string_view kBearer = "Bearer ";
    SecretBuilder value(kBearer.size() + authorization.token->size());
    (void)value.Append(kBearer);
    (void)value.Append(authorization.token->bytes());
    request.headers.emplace_back("Authorization", value.Finish());
  }
  if (!call.body.empty()) {
    request.headers.emplace_back("Content-Type", SecretBytes::CopyOf("application/json"));
    request.body = call.body.Clone();
  }
  request.deadline = call.deadline;
  request.body_limit = call.answer_limit;
  return request;
}

asio::awaitable<absl::StatusOr<HttpResponse>> ApiClient::SendOnce(std::shared_ptr<ApiClient> self,
                                                                  const Call* call,
                                                                  Authorization authorization) {
  if (self->stopped_) co_return absl::CancelledError("the store is closed");
  Connection& connection = self->ConnectionFor(authorization);
  const InUse in_use(*self, connection);
  HttpRequest request = self->RequestOf(*call, authorization);
  absl::StatusOr<HttpResponse> response = co_await connection.http->Send(std::move(request));
  if (response.ok()) co_return response;
  co_return WithContext(response.status(), Format("Kubernetes at {}", self->address_));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> ApiClient::StreamOnce(
    std::shared_ptr<ApiClient> self, const Call* call, HttpStreamOptions options,
    Authorization authorization) {
  if (self->stopped_) co_return absl::CancelledError("the store is closed");
  Connection& connection = self->ConnectionFor(authorization);
  const InUse in_use(*self, connection);
  HttpRequest request = self->RequestOf(*call, authorization);
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      co_await connection.http->Stream(std::move(request), options);
  if (stream.ok()) co_return stream;
  co_return WithContext(stream.status(), Format("Kubernetes at {}", self->address_));
}

asio::awaitable<absl::StatusOr<Authorization>> ApiClient::Renewed(Authorization refused,
                                                                  MonotonicTime deadline) {
  authorizer_->Refused(refused);
  co_return co_await authorizer_->Get(deadline);
}

asio::awaitable<absl::StatusOr<HttpResponse>> ApiClient::Send(Call call) {
  const std::shared_ptr<ApiClient> self = shared_from_this();
  const absl::StatusOr<Authorization> authorization = co_await authorizer_->Get(call.deadline);
  if (!authorization.ok()) co_return authorization.status();
  absl::StatusOr<HttpResponse> response = co_await SendOnce(self, &call, *authorization);
  if (!response.ok() || response->status != 401) co_return response;
  const absl::StatusOr<Authorization> renewed = co_await Renewed(*authorization, call.deadline);
  if (!renewed.ok()) co_return renewed.status();
  if (*renewed == *authorization) co_return response;
  absl::StatusOr<HttpResponse> second = co_await SendOnce(self, &call, *renewed);
  co_return second;
}

asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> ApiClient::Stream(
    Call call, HttpStreamOptions options) {
  const std::shared_ptr<ApiClient> self = shared_from_this();
  const absl::StatusOr<Authorization> authorization = co_await authorizer_->Get(call.deadline);
  if (!authorization.ok()) co_return authorization.status();
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      co_await StreamOnce(self, &call, options, *authorization);
  if (!stream.ok() || (*stream)->status() != 401) co_return stream;
  const absl::StatusOr<Authorization> renewed = co_await Renewed(*authorization, call.deadline);
  if (!renewed.ok()) co_return renewed.status();
  if (*renewed == *authorization) co_return stream;
  absl::StatusOr<std::unique_ptr<HttpStream>> second =
      co_await StreamOnce(self, &call, options, *renewed);
  co_return second;
}

absl::Status ApiClient::StatusOf(const HttpResponse& response, std::string_view doing) const {
  const absl::Status status =
      HttpStatus(response, Format("Kubernetes at {}, {}", address_, doing), clock_.WallNow());
  if (status.ok()) return status;
  const ApiStatus told = ParseApiStatus(response.body.ExposeAsText());
  if (told.message.empty()) return status;
  absl::Status detailed(status.code(), Format("{}: {}", MessageOf(status), told.message));
  if (const auto delay = RetryAfter(status)) SetRetryAfter(detailed, *delay);
  return detailed;
}

}  // namespace secretfs::providers::kubernetes
