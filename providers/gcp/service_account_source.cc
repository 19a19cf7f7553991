// Service account keys: a JWT that the key signs is traded for an access token (RFC 7523).

#include <algorithm>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/auth/jwt.h"
#include "providers/gcp/token_source.h"

namespace secretfs::providers::gcp {
namespace {

constexpr std::chrono::seconds kLife = std::chrono::hours(1);
// Clocks that differ by less are told apart from nothing; assertions begin this much in the past.
constexpr std::chrono::seconds kLeeway{10};
constexpr std::chrono::seconds kWrongClock = std::chrono::minutes(1);

int64_t Seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

class ServiceAccountSource final : public TokenSource {
 public:
  ServiceAccountSource(ServiceAccountKey key, std::shared_ptr<Client> client)
      : key_(std::move(key)), client_(std::move(client)) {}

  std::string Description() const override {
    return Format("the key of the service account {}", key_.client_email);
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    TokenAnswer answer = co_await Trade(deadline);
    if (answer.error != "invalid_grant" || !CorrectClock(answer.server_time)) {
      co_return std::move(answer.token);
    }
    TokenAnswer second = co_await Trade(deadline);
    co_return std::move(second.token);
  }

 private:
  asio::awaitable<TokenAnswer> Trade(MonotonicTime deadline) {
    const absl::StatusOr<SecretBytes> assertion = Assertion();
    if (!assertion.ok()) {
      TokenAnswer failed;
      failed.token = absl::FailedPreconditionError(
          Format("{}: {}", Description(), MessageOf(assertion.status())));
      co_return failed;
    }
    TokenRequest request;
    request.url = key_.token_uri;
    Form form;
    form.Add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    form.Add("assertion", assertion->ExposeAsText());
    request.body = form.Finish();
    request.doing = "trading a service account's assertion for an access token";
    request.deadline = deadline;
    co_return co_await RequestToken(client_, std::move(request));
  }

  absl::StatusOr<SecretBytes> Assertion() const {
    const int64_t begin = Seconds(client_->clock().WallNow() + offset_) - kLeeway.count();
    SecretJson claims = SecretJson::object();
    claims["iss"] = SecretString(std::string_view(key_.client_email));
    claims["scope"] = SecretString(kScope);
    claims["aud"] = SecretString(std::string_view(key_.token_uri));
    claims["iat"] = begin;
    claims["exp"] = begin + kLife.count();
    std::map<std::string, std::string> header;
    if (!key_.private_key_id.empty()) header["kid"] = key_.private_key_id;
    return SignJwt(JwtAlgorithm::kRs256, header, claims, key_.private_key);
  }

  // After a refusal: true when the clock here is so wrong that it may be why, and assertions are
  // made by the server's from now on.
  bool CorrectClock(std::optional<WallTime> server_time) {
    if (!server_time.has_value()) return false;
    const Duration offset = *server_time - client_->clock().WallNow();
    if (std::chrono::abs(offset - offset_) < kWrongClock) return false;
    offset_ = offset;
    Log().warn("this machine's clock differs from Google's by {} s: set it",
               std::chrono::duration_cast<std::chrono::seconds>(offset).count());
    return true;
  }

  const ServiceAccountKey key_;
  std::shared_ptr<Client> client_;
  Duration offset_{0};  // what the server's clock shows more than ours
};

}  // namespace

std::unique_ptr<TokenSource> MakeServiceAccountSource(ServiceAccountKey key,
                                                      std::shared_ptr<Client> client) {
  return std::make_unique<ServiceAccountSource>(std::move(key), std::move(client));
}

}  // namespace secretfs::providers::gcp
