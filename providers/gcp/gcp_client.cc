#include "providers/gcp/gcp_client.h"

#include <utility>

#include "absl/time/time.h"
#include "base/text.h"
#include "providers/http/url.h"

namespace secretfs::providers::gcp {
namespace {

// `http` is used before the first suspension only: HttpClient's coroutines outlive it by
// themselves.
asio::awaitable<absl::StatusOr<HttpResponse>> SendBy(HttpClient* http, HttpRequest request) {
  if (http == nullptr) co_return absl::CancelledError("the store is closed");
  co_return co_await http->Send(std::move(request));
}

}  // namespace

Client::Client(const TlsConfig& tls, asio::io_context& context, const Clock& clock)
    : context_(context), clock_(clock) {
  HttpClientOptions options;
  options.tls = tls;
  http_ = std::make_unique<HttpClient>(context, clock, options);
  options.tls = TlsConfig();
  options.use_proxy = false;
  options.plaintext = Plaintext::kMetadata;
  direct_ = std::make_unique<HttpClient>(context, clock, std::move(options));
}

asio::awaitable<absl::StatusOr<HttpResponse>> Client::Send(HttpRequest request) {
  return SendBy(http_.get(), std::move(request));
}

asio::awaitable<absl::StatusOr<HttpResponse>> Client::SendDirectly(HttpRequest request) {
  return SendBy(direct_.get(), std::move(request));
}

void Client::Stop() {
  http_.reset();
  direct_.reset();
}

absl::Status CheckTrustedUrl(std::string_view url, std::string_view what) {
  const absl::StatusOr<Origin> origin = OriginOf(std::string(url));
  // Paths may hold an '@' (a service account's), the server's name may not (a user).
  const size_t path = url.find('/', url.find("://") + 3);
  if (!origin.ok() || url.substr(0, path).find('@') != std::string_view::npos ||
      url.find('#') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Format("the {} '{}' is no URL; expected https://HOST/PATH", what, UrlForMessages(url)));
  }
  return CheckConfidential(std::string(url), Plaintext::kThisMachine, Format("the {}", what));
}

std::optional<WallTime> ServerTime(const HttpResponse& response) {
  const auto date = response.headers.find("date");
  if (date == response.headers.end()) return std::nullopt;
  // RFC 9110, section 5.6.7.
  absl::Time time;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", date->second, &time, nullptr)) {
    return std::nullopt;
  }
  return WallTime(std::chrono::system_clock::from_time_t(absl::ToTimeT(time)));
}

}  // namespace secretfs::providers::gcp
