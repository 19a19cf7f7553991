#include "providers/gcp/gcp_api.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/gcp/gcp_error.h"
#include "providers/gcp/token_endpoint.h"

namespace secretfs::providers::gcp {
namespace {

// Values have up to 64 KiB at Google; a server in its place may allow 1 MiB.
constexpr size_t kSecretAnswerLimit = size_t{2} << 20;
constexpr size_t kListAnswerLimit = size_t{16} << 20;
// What the API allows: one request for nearly every secret.
constexpr int kVersionsOnAPage = 25'000;
constexpr int kMostVersionPages = 100;

bool IsGreater(const std::string& number, const std::string& than) {
  return number.size() != than.size() ? number.size() > than.size() : number > than;
}

std::string QueryOf(Form& form) {
  const SecretBytes text = form.Finish();
  return std::string(text.ExposeAsText());
}

}  // namespace

std::string Api::ServerOf(const Home& home) const {
  if (!options_.server.empty()) return options_.server;
  if (home.location.empty()) return "https://secretmanager.googleapis.com";
  return Format("https://secretmanager.{}.rep.googleapis.com", home.location);
}

asio::awaitable<Api::Accessed> Api::Access(SecretName name, MonotonicTime deadline) {
  Call call;
  call.home = name.home;
  call.path = Format("{}/versions/{}:access", SecretPath(name), name.version);
  call.doing = Format("reading {} version {}", SecretPath(name), name.version);
  call.answer_limit = kSecretAnswerLimit;
  call.deadline = deadline;
  const std::string what = call.doing;
  Answer answer = co_await Get(std::move(call));
  Accessed accessed;
  accessed.is_unusable = answer.version_is_unusable;
  if (!answer.status.ok()) {
    accessed.version = answer.status;
    co_return accessed;
  }
  absl::StatusOr<AccessedVersion> version = ParseAccess(answer.body.ExposeAsText());
  if (!version.ok()) {
    accessed.version = WithContext(version.status(),
                                   Format("Secret Manager at {}, {}", ServerOf(name.home), what));
  } else {
    accessed.version = std::move(version);
  }
  co_return accessed;
}

asio::awaitable<absl::StatusOr<SecretPage>> Api::ListSecrets(NamePrefix prefix, std::string page,
                                                             int size, MonotonicTime deadline) {
  Call call;
  call.home = prefix.home;
  call.path = Format("{}/secrets", ParentPath(prefix.home));
  Form query;
  if (size > 0) query.Add("pageSize", Format("{}", size));
  if (!page.empty()) query.Add("pageToken", page);
  if (!prefix.begin.empty()) query.Add("filter", Format("name:{}", prefix.begin));
  call.query = QueryOf(query);
  call.doing = Format("listing the secrets of {}", ParentPath(prefix.home));
  call.answer_limit = kListAnswerLimit;
  call.deadline = deadline;
  const std::string what = call.doing;
  const Answer answer = co_await Get(std::move(call));
  if (!answer.status.ok()) co_return answer.status;
  absl::StatusOr<SecretPage> result = ParseSecretList(answer.body.ExposeAsText());
  if (!result.ok()) {
    co_return WithContext(result.status(),
                          Format("Secret Manager at {}, {}", ServerOf(prefix.home), what));
  }
  co_return result;
}

asio::awaitable<absl::StatusOr<std::string>> Api::NewestEnabled(SecretName name,
                                                                MonotonicTime deadline) {
  std::string newest;
  std::string page;
  for (int pages = 0; pages < kMostVersionPages; ++pages) {
    Call call;
    call.home = name.home;
    call.path = Format("{}/versions", SecretPath(name));
    Form query;
    query.Add("pageSize", Format("{}", kVersionsOnAPage)).Add("filter", "state:ENABLED");
    if (!page.empty()) query.Add("pageToken", page);
    call.query = QueryOf(query);
    call.doing = Format("listing the versions of {}", SecretPath(name));
    call.answer_limit = kListAnswerLimit;
    call.deadline = deadline;
    const std::string what = call.doing;
    const Answer answer = co_await Get(std::move(call));
    if (!answer.status.ok()) co_return answer.status;
    absl::StatusOr<VersionPage> versions = ParseVersionList(answer.body.ExposeAsText());
    if (!versions.ok()) {
      co_return WithContext(versions.status(),
                            Format("Secret Manager at {}, {}", ServerOf(name.home), what));
    }
    for (std::string& number : versions->enabled) {
      if (IsGreater(number, newest)) newest = std::move(number);
    }
    page = std::move(versions->next_page);
    if (page.empty()) break;
  }
  if (newest.empty()) {
    co_return absl::NotFoundError(Format("Secret Manager at {}: no version of {} is enabled",
                                         ServerOf(name.home), SecretPath(name)));
  }
  co_return newest;
}

asio::awaitable<Api::Answer> Api::Get(Call call) {
  Answer answer;
  absl::StatusOr<TokenBytes> token = co_await session_->Token(call.deadline);
  for (int attempt = 0;; ++attempt) {
    if (!token.ok()) {
      answer.status = token.status();
      co_return answer;
    }
    absl::StatusOr<HttpResponse> response = co_await Send(call, *token);
    const std::string what = Format("Secret Manager at {}, {}", ServerOf(call.home), call.doing);
    if (!response.ok()) {
      answer.status = WithContext(response.status(), what);
      co_return answer;
    }
    const Failure failure = FailureOf(*response, what, client_->clock().WallNow());
    if (!absl::IsUnauthenticated(failure.status) || attempt == 1) {
      answer.status = failure.status;
      answer.version_is_unusable = failure.version_is_unusable;
      answer.body = std::move(response->body);
      co_return answer;
    }
    const TokenBytes refused = *token;
    token = co_await session_->Replace(refused, call.deadline);
  }
}

asio::awaitable<absl::StatusOr<HttpResponse>> Api::Send(Call call, TokenBytes token) {
  HttpRequest request;
  request.url = Format("{}/v1/{}{}{}", ServerOf(call.home), call.path,
                       call.query.empty() ? "" : "?", call.query);
  request.headers.emplace_back("Authorization", BearerAuthorization(*token));
  const std::string quota =
      options_.quota_project.empty() ? session_->QuotaProject() : options_.quota_project;
  if (!quota.empty()) {
    request.headers.emplace_back("X-Goog-User-Project", SecretBytes::CopyOf(quota));
  }
  request.deadline = call.deadline;
  request.body_limit = call.answer_limit;
  co_return co_await client_->Send(std::move(request));
}

}  // namespace secretfs::providers::gcp
