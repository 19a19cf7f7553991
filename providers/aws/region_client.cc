#include "providers/aws/region_client.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

std::string_view TitleOf(AwsService service) {
  return service == AwsService::kSecretsManager ? "AWS Secrets Manager" : "AWS Parameter Store";
}

std::string_view TargetPrefix(AwsService service) {
  return service == AwsService::kSecretsManager ? "secretsmanager" : "AmazonSSM";
}

}  // namespace

std::string_view ServiceName(AwsService service) {
  return service == AwsService::kSecretsManager ? "secretsmanager" : "ssm";
}

RegionClient::RegionClient(AwsService service, std::string region, std::string endpoint,
                           std::shared_ptr<Transport> transport, std::shared_ptr<Session> session)
    : service_(service),
      region_(std::move(region)),
      endpoint_(std::move(endpoint)),
      name_(Format("{} in {}", TitleOf(service), region_)),
      transport_(std::move(transport)),
      session_(std::move(session)) {}

asio::awaitable<ApiResult> RegionClient::Call(ApiCall call) {
  ApiResult result{absl::UnknownError("not sent"), ""};
  const auto body = std::make_shared<const SecretBytes>(DumpSecretJson(call.body));
  const std::string what =
      Format("{}, {}{}{}", name_, call.action, call.subject.empty() ? "" : " of ", call.subject);
  absl::StatusOr<AwsCredentialsPtr> credentials = co_await session_->Credentials(call.deadline);
  for (bool again = false;; again = true) {
    if (!credentials.ok()) {
      result.body = credentials.status();
      co_return result;
    }
    AwsRequest request;
    request.url = endpoint_ + "/";
    request.service = ServiceName(service_);
    request.region = region_;
    request.headers.emplace_back("Content-Type", "application/x-amz-json-1.1");
    request.headers.emplace_back("X-Amz-Target",
                                 Format("{}.{}", TargetPrefix(service_), call.action));
    request.body = body;
    request.credentials = *credentials;
    request.deadline = call.deadline;
    request.answer_limit = call.answer_limit;
    absl::StatusOr<AwsAnswer> answer = co_await transport_->Send(std::move(request));
    if (!answer.ok()) {
      result.body = WithContext(answer.status(), what);
      co_return result;
    }
    if (answer->ok()) {
      result.body = std::move(answer->response.body);
      co_return result;
    }
    result.error_code = answer->error.code;
    result.body = StatusOf(answer->response, answer->error, what, transport_->clock().WallNow());
    if (again || !MeansNewLogin(result.error_code)) co_return result;
    AwsCredentialsPtr refused = *std::move(credentials);
    credentials = co_await session_->Replace(std::move(refused), call.deadline);
  }
}

}  // namespace secretfs::providers::aws
