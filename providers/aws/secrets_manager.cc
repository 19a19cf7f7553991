#include "providers/aws/secrets_manager.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/aws/concurrently.h"
#include "providers/aws/names.h"

namespace secretfs::providers::aws {
namespace {

using std::chrono::minutes;

// Twenty values of 64 KiB, as JSON writes control characters.
constexpr size_t kBatchLimit = 16 << 20;
constexpr size_t kListLimit = 8 << 20;
constexpr int kNamesPerPage = 100;
// A batch's answer that comes in more pages than secrets were asked for does not end.
constexpr size_t kBatchPages = SecretsManager::kBatchSize;
constexpr Duration kReadWholeEvery = minutes(10);
constexpr Duration kAskAgainAfterDenial = minutes(10);
constexpr size_t kMostKnown = 50'000;
constexpr std::string_view kCurrent = "AWSCURRENT";

// An answer about the request or our rights, which another kind of request may not get.
bool IsAboutTheRequest(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status) ||
         absl::IsNotFound(status) || absl::IsOutOfRange(status) || absl::IsUnimplemented(status);
}

std::string Quoted(std::string_view name) { return Format("'{}'", name); }

SecretPtr Share(NamedSecret named) {
  return std::make_shared<const Secret>(std::move(named.secret));
}

}  // namespace

asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> SecretsManager::Fetch(
    std::vector<SecretRef> refs, MonotonicTime deadline) {
  BatchResults batched;
  std::vector<std::string> ids;
  for (const SecretRef& ref : refs) {
    std::string id = LikelyId(ref.key);
    const bool listed = std::find(ids.begin(), ids.end(), id) != ids.end();
    if (ref.version.empty() && !listed) ids.push_back(std::move(id));
  }
  if (ids.size() > 1 && Now() >= batch_not_before_) {
    batched = co_await FetchBatch(ids, deadline);
  }
  std::vector<std::function<asio::awaitable<Result>()>> starts;
  std::vector<size_t> places;
  Results results(refs.size(), Result(absl::UnknownError("not asked")));
  const auto self = shared_from_this();
  for (size_t i = 0; i < refs.size(); ++i) {
    const auto found =
        refs[i].version.empty() ? batched.find(LikelyId(refs[i].key)) : batched.end();
    if (found != batched.end()) {
      results[i] = found->second;
      continue;
    }
    places.push_back(i);
    starts.emplace_back([self, ref = refs[i], deadline] { return self->FetchOne(ref, deadline); });
  }
  if (starts.empty()) co_return results;
  asio::io_context& context = client_->transport().context();
  Result unfinished = absl::InternalError("the request ended unexpectedly");
  Results alone = co_await RunSideBySide<Result>(context, std::move(starts), std::move(unfinished));
  for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(alone[i]);
  co_return results;
}

std::string SecretsManager::LikelyId(const std::string& key) const {
  return slashed_.contains(FirstComponent(key)) ? "/" + key : key;
}

asio::awaitable<SecretsManager::BatchResults> SecretsManager::FetchBatch(
    std::vector<std::string> ids, MonotonicTime deadline) {
  BatchResults results;
  std::string token;
  std::string subject = Format("{} secrets", ids.size());
  for (size_t page = 0; page < kBatchPages; ++page) {
    ApiCall call;
    call.action = "BatchGetSecretValue";
    for (const std::string& id : ids) call.body["SecretIdList"].push_back(SecretString(id));
    if (!token.empty()) call.body["NextToken"] = SecretString(token);
    call.subject = subject;
    call.deadline = deadline;
    call.answer_limit = kBatchLimit;
    ApiResult answer = co_await client_->Call(std::move(call));
    absl::StatusOr<BatchAnswer> batch =
        answer.body.ok() ? ParseBatch(answer.body->ExposeAsText()) : answer.body.status();
    if (!batch.ok()) {
      // One by one, whoever is to blame gets the error alone.
      if (IsAboutTheRequest(batch.status())) {
        if (absl::IsPermissionDenied(batch.status())) {
          Log().info("reading secrets one by one: {}", batch.status());
          batch_not_before_ = Now() + kAskAgainAfterDenial;
        }
        co_return results;
      }
      for (const std::string& id : ids) results.try_emplace(id, batch.status());
      co_return results;
    }
    for (NamedSecret& value : batch->values) {
      std::vector<std::string> meant;
      for (const std::string& id : ids) {
        if (Means(id, value)) meant.push_back(id);
      }
      const SecretPtr secret = Share(std::move(value));
      for (const std::string& id : meant) {
        results.insert_or_assign(id, secret);
        Remember({id, ""}, secret);
      }
    }
    for (const auto& [id, error] : batch->errors) {
      const absl::Status status =
          StatusOf(error, Format("{}, BatchGetSecretValue of {}", client_->name(), Quoted(id)));
      // Perhaps it is called otherwise: FetchOne knows.
      if (absl::IsNotFound(status) && !IsArn(id)) continue;
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) results.try_emplace(id, status);
    }
    token = batch->next_token;
    if (token.empty()) break;
  }
  co_return results;
}

asio::awaitable<SecretsManager::Result> SecretsManager::FetchOne(SecretRef ref,
                                                                 MonotonicTime deadline) {
  Result known = co_await Check(ref, deadline);
  if (!known.ok()) co_return known.status();
  if (*known != nullptr) co_return known;
  std::vector<std::string> ids{LikelyId(ref.key)};
  if (ids[0] != ref.key) {
    ids.push_back(ref.key);
  } else if (!ref.key.starts_with('/') && !IsArn(ref.key)) {
    ids.push_back("/" + ref.key);
  }
  Result first = absl::UnknownError("not asked");
  for (size_t i = 0; i < ids.size(); ++i) {
    std::string id = ids[i];
    std::string version = ref.version;
    Result result = co_await Get(std::move(id), std::move(version), deadline);
    if (result.ok()) {
      Remember(ref, *result);
      co_return result;
    }
    const bool not_found = absl::IsNotFound(result.status());
    if (i == 0) first = std::move(result);
    if (!not_found) break;
  }
  co_return first;
}

asio::awaitable<SecretsManager::Result> SecretsManager::Get(std::string id, std::string version,
                                                            MonotonicTime deadline) {
  ApiCall call;
  call.action = "GetSecretValue";
  call.body["SecretId"] = SecretString(id);
  const VersionSelector selector = ParseVersion(version);
  if (!selector.id.empty()) call.body["VersionId"] = SecretString(selector.id);
  if (!selector.stage.empty()) call.body["VersionStage"] = SecretString(selector.stage);
  call.subject = version.empty() ? Quoted(id) : Format("'{}' in version {}", id, version);
  call.deadline = deadline;
  const std::string subject = call.subject;
  ApiResult answer = co_await client_->Call(std::move(call));
  if (!answer.body.ok()) co_return answer.body.status();
  absl::StatusOr<NamedSecret> secret = ParseSecretValue(answer.body->ExposeAsText());
  if (!secret.ok()) {
    co_return WithContext(secret.status(),
                          Format("{}, GetSecretValue of {}", client_->name(), subject));
  }
  co_return Share(*std::move(secret));
}

asio::awaitable<SecretsManager::Result> SecretsManager::Check(SecretRef ref,
                                                              MonotonicTime deadline) {
  const SecretPtr nothing;
  const auto found = known_.find(ref);
  if (found == known_.end()) co_return nothing;
  const SecretPtr secret = found->second.secret.lock();
  const VersionSelector selector = ParseVersion(ref.version);
  // A version by its id never changes, but only reading it tells that it is still there.
  const bool worth_it = secret != nullptr && selector.id.empty() &&
                        Now() < found->second.read_at + kReadWholeEvery &&
                        Now() >= describe_not_before_;
  if (!worth_it) co_return nothing;
  ApiCall call;
  call.action = "DescribeSecret";
  call.body["SecretId"] = SecretString(LikelyId(ref.key));
  call.subject = Quoted(ref.key);
  call.deadline = deadline;
  ApiResult answer = co_await client_->Call(std::move(call));
  if (!answer.body.ok()) {
    const absl::Status& status = answer.body.status();
    if (absl::IsPermissionDenied(status)) describe_not_before_ = Now() + kAskAgainAfterDenial;
    if (IsAboutTheRequest(status)) co_return nothing;
    co_return status;
  }
  const absl::StatusOr<SecretDescription> description =
      ParseDescription(answer.body->ExposeAsText());
  if (!description.ok() || description->deleted) co_return nothing;
  const auto version = description->version_of_stage.find(
      selector.stage.empty() ? std::string(kCurrent) : selector.stage);
  if (version == description->version_of_stage.end()) co_return nothing;
  if (version->second != secret->version) co_return nothing;
  co_return secret;
}

void SecretsManager::Remember(const SecretRef& ref, const SecretPtr& secret) {
  if (known_.size() >= kMostKnown) {
    std::erase_if(known_, [](const auto& one) { return one.second.secret.expired(); });
  }
  if (known_.size() >= kMostKnown) known_.clear();
  known_.insert_or_assign(ref, Known{secret, Now()});
}

asio::awaitable<absl::StatusOr<ListPage>> SecretsManager::List(std::string prefix, std::string page,
                                                               MonotonicTime deadline) {
  ApiCall call;
  call.action = "ListSecrets";
  call.body["MaxResults"] = kNamesPerPage;
  if (!prefix.empty()) {
    SecretJson filter;
    filter["Key"] = "name";
    filter["Values"].push_back(SecretString(prefix));
    if (!prefix.starts_with('/')) filter["Values"].push_back(SecretString("/" + prefix));
    call.body["Filters"].push_back(std::move(filter));
  }
  if (!page.empty()) call.body["NextToken"] = SecretString(page);
  call.deadline = deadline;
  call.answer_limit = kListLimit;
  ApiResult answer = co_await client_->Call(std::move(call));
  if (!answer.body.ok()) co_return answer.body.status();
  absl::StatusOr<NamePage> names = ParseSecretNames(answer.body->ExposeAsText());
  if (!names.ok()) co_return WithContext(names.status(), client_->name() + ", ListSecrets");
  co_return ListPage{EntriesBelow(prefix, names->names, slashed_), std::move(names->next_token)};
}

asio::awaitable<absl::Status> SecretsManager::Probe(MonotonicTime deadline) {
  ApiCall call;
  call.action = "ListSecrets";
  call.body["MaxResults"] = 1;
  call.deadline = deadline;
  const ApiResult answer = co_await client_->Call(std::move(call));
  if (absl::IsPermissionDenied(answer.body.status())) co_return absl::OkStatus();
  co_return answer.body.status();
}

}  // namespace secretfs::providers::aws
