#include "providers/aws/transport.h"

#include "absl/time/time.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

// AWS accepts what was signed within five minutes of its own time.
constexpr Duration kToleratedSkew = std::chrono::minutes(4);

}  // namespace

std::optional<WallTime> DateOf(const HttpResponse& response) {
  const auto header = response.headers.find("date");
  absl::Time time;
  // RFC 9110's preferred form, which is the only one that is sent.
  if (header == response.headers.end() ||
      !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", header->second, &time, nullptr)) {
    return std::nullopt;
  }
  const int64_t seconds = absl::ToUnixSeconds(time);
  constexpr int64_t kLatest = 8'000'000'000;
  if (seconds <= 0 || seconds > kLatest) return std::nullopt;
  return WallTime(std::chrono::seconds(seconds));
}

Transport::Transport(asio::io_context& context, const Clock& clock, const TlsConfig& tls)
    : context_(context),
      clock_(clock),
      http_(std::make_shared<HttpClient>(
          context, clock, HttpClientOptions{.tls = tls, .plaintext = PlaintextFor(tls)})) {}

asio::awaitable<absl::StatusOr<AwsAnswer>> Transport::Send(AwsRequest request) {
  const auto shared = std::make_shared<const AwsRequest>(std::move(request));
  const Duration signed_with = skew_;
  absl::StatusOr<AwsAnswer> answer = co_await SendOnce(shared);
  if (!answer.ok() || answer->ok() || shared->credentials == nullptr) co_return answer;
  if (!MayMeanClockSkew(answer->error.code)) co_return answer;
  LearnSkew(answer->response);
  if (skew_ == signed_with) co_return answer;
  absl::StatusOr<AwsAnswer> again = co_await SendOnce(shared);
  co_return again;
}

asio::awaitable<absl::StatusOr<AwsAnswer>> Transport::SendOnce(
    std::shared_ptr<const AwsRequest> request) {
  const std::shared_ptr<HttpClient> client = http_;
  if (client == nullptr) co_return absl::CancelledError("the store is closed");
  HttpRequest http;
  http.method = "POST";
  http.url = request->url;
  for (const auto& [name, value] : request->headers) {
    http.headers.emplace_back(name, SecretBytes::CopyOf(value));
  }
  if (request->body != nullptr) http.body = request->body->Clone();
  http.deadline = request->deadline;
  http.body_limit = request->answer_limit;
  if (request->credentials != nullptr) {
    const SigningScope scope{request->region, request->service};
    const absl::Status signed_ok = SignAwsRequest(http, *request->credentials, scope, ServerNow());
    if (!signed_ok.ok()) co_return signed_ok;
  }
  absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(http));
  if (!response.ok()) co_return response.status();
  AwsAnswer answer;
  answer.response = *std::move(response);
  if (!answer.ok()) answer.error = ErrorOf(answer.response);
  co_return answer;
}

void Transport::LearnSkew(const HttpResponse& response) {
  const std::optional<WallTime> date = DateOf(response);
  if (!date.has_value()) return;
  const Duration error = *date - ServerNow();
  if (error < kToleratedSkew && error > -kToleratedSkew) return;
  skew_ += error;
  Log().warn("this machine's clock differs from AWS's by {} s: signing with AWS's time",
             std::chrono::duration_cast<std::chrono::seconds>(skew_).count());
}

MonotonicTime Transport::ExpiryOf(WallTime expiration, const HttpResponse& answer) const {
  return clock_.Now() + (expiration - DateOf(answer).value_or(ServerNow()));
}

}  // namespace secretfs::providers::aws
