#include "providers/aws/sts.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/aws/credentials_answer.h"

namespace secretfs::providers::aws {
namespace {

constexpr size_t kFormLimit = 512 << 10;

// A form's fields, percent-encoded; values may be secret.
class Form {
 public:
  explicit Form(std::string_view action) {
    Add("Action", action);
    Add("Version", "2011-06-15");
  }
  void Add(std::string_view name, std::string_view value) {
    if (size_ > 0) Append("&");
    Append(name);
    Append("=");
    for (const char c : value) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
      if (plain) {
        Append({&c, 1});
      } else {
        constexpr char kDigits[] = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(c);
        const char escape[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
        Append({escape, sizeof escape});
      }
    }
  }
  std::shared_ptr<const SecretBytes> Finish() {
    return std::make_shared<const SecretBytes>(builder_.Finish());
  }
  bool too_large() const { return too_large_; }

 private:
  void Append(std::string_view text) {
    size_ += text.size();
    too_large_ |= !builder_.Append(text).ok();
  }
  SecretBuilder builder_{kFormLimit};
  size_t size_ = 0;
  bool too_large_ = false;
};

void AddRole(const RoleRequest& role, Form& form) {
  form.Add("RoleArn", role.role_arn);
  form.Add("RoleSessionName", role.session_name.empty() ? "secretfs" : role.session_name);
  if (!role.duration_seconds.empty()) form.Add("DurationSeconds", role.duration_seconds);
  if (!role.external_id.empty()) form.Add("ExternalId", role.external_id);
  for (size_t i = 0; i < role.session_tags.size(); ++i) {
    form.Add(Format("Tags.member.{}.Key", i + 1), role.session_tags[i].first);
    form.Add(Format("Tags.member.{}.Value", i + 1), role.session_tags[i].second);
  }
  for (size_t i = 0; i < role.transitive_tag_keys.size(); ++i) {
    form.Add(Format("TransitiveTagKeys.member.{}", i + 1), role.transitive_tag_keys[i]);
  }
}

}  // namespace

Sts::Sts(std::vector<Place> places, std::shared_ptr<Transport> transport)
    : places_(std::move(places)), transport_(std::move(transport)) {}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Sts::AssumeRole(RoleRequest role,
                                                                   AwsCredentialsPtr with,
                                                                   MonotonicTime deadline) {
  Form form("AssumeRole");
  AddRole(role, form);
  AwsRequest request;
  request.body = form.Finish();
  request.credentials = std::move(with);
  request.deadline = deadline;
  co_return co_await Ask(std::move(request), Format("assuming the role {}", role.role_arn));
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Sts::AssumeRoleWithWebIdentity(
    RoleRequest role, std::shared_ptr<const SecretBytes> token, MonotonicTime deadline) {
  Form form("AssumeRoleWithWebIdentity");
  AddRole(role, form);
  form.Add("WebIdentityToken", token->ExposeAsText());
  if (form.too_large()) {
    co_return absl::FailedPreconditionError("the web identity token is far too large for a token");
  }
  AwsRequest request;
  request.body = form.Finish();
  request.deadline = deadline;
  co_return co_await Ask(std::move(request),
                         Format("assuming the role {} with a web identity token", role.role_arn));
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Sts::Ask(AwsRequest request, std::string doing) {
  request.service = "sts";
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  absl::StatusOr<AwsCredentialsPtr> first = absl::InternalError("STS has no address");
  const MonotonicTime now = transport_->clock().Now();
  for (size_t i = 0; i < places_.size(); ++i) {
    Place place = places_[i];
    AwsRequest copy = request;
    // A silent region must leave time for the next.
    const bool last = i + 1 == places_.size();
    if (!last && copy.deadline != MonotonicTime::max())
      copy.deadline = now + (copy.deadline - now) / 2;
    std::string same = doing;
    absl::StatusOr<AwsCredentialsPtr> result =
        co_await AskAt(std::move(place), std::move(copy), std::move(same));
    if (result.ok()) co_return result;
    const bool outage = IsOutage(result.status());
    if (i == 0 || !outage) first = std::move(result);
    if (!outage) break;
  }
  co_return first;
}

asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Sts::AskAt(Place place, AwsRequest request,
                                                              std::string doing) {
  request.url = place.endpoint + "/";
  request.region = place.region;
  absl::StatusOr<AwsAnswer> answer = co_await transport_->Send(std::move(request));
  const std::string what = Format("STS at {}, {}", place.endpoint, doing);
  if (!answer.ok()) co_return WithContext(answer.status(), what);
  const absl::Status status =
      StatusOf(answer->response, answer->error, what, transport_->clock().WallNow());
  if (!status.ok()) {
    const std::string& words = answer->error.message;
    if (words.empty()) co_return status;
    absl::Status detailed(status.code(), Format("{}: {}", MessageOf(status), words));
    if (const auto delay = RetryAfter(status)) SetRetryAfter(detailed, *delay);
    co_return detailed;
  }
  absl::StatusOr<TemporaryCredentials> made = ParseRoleAnswer(answer->response.body.ExposeAsText());
  if (!made.ok()) co_return WithContext(made.status(), what);
  made->credentials.expires_at = transport_->ExpiryOf(made->expiration, answer->response);
  co_return std::make_shared<const AwsCredentials>(std::move(made->credentials));
}

}  // namespace secretfs::providers::aws
