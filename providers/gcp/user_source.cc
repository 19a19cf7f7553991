// A person's login that gcloud keeps: a refresh token is traded for an access token.

#include <utility>

#include "base/text.h"
#include "providers/gcp/token_source.h"

namespace secretfs::providers::gcp {
namespace {

class UserSource final : public TokenSource {
 public:
  UserSource(UserLogin user, std::shared_ptr<Client> client)
      : user_(std::move(user)), client_(std::move(client)) {}

  std::string Description() const override { return "the login that gcloud keeps"; }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    TokenRequest request;
    request.url = user_.token_uri;
    Form form;
    form.Add("grant_type", "refresh_token");
    form.Add("refresh_token", user_.refresh_token.ExposeAsText());
    if (user_.client_in_header) {
      request.authorization = BasicAuthorization(user_.client_id, user_.client_secret);
    } else {
      form.Add("client_id", user_.client_id);
      form.Add("client_secret", user_.client_secret.ExposeAsText());
    }
    request.body = form.Finish();
    request.doing = "trading a refresh token for an access token";
    request.deadline = deadline;
    TokenAnswer answer = co_await RequestToken(client_, std::move(request));
    if (answer.error == "invalid_grant") {
      co_return absl::UnauthenticatedError(
          Format("{}; log in again: gcloud auth application-default login",
                 MessageOf(answer.token.status())));
    }
    co_return std::move(answer.token);
  }

 private:
  const UserLogin user_;
  std::shared_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<TokenSource> MakeUserSource(UserLogin user, std::shared_ptr<Client> client) {
  return std::make_unique<UserSource>(std::move(user), std::move(client));
}

}  // namespace secretfs::providers::gcp
