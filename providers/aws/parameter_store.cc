#include "providers/aws/parameter_store.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/aws/concurrently.h"
#include "providers/aws/names.h"

namespace secretfs::providers::aws {
namespace {

// Ten values of at most 8 KiB, and whatever JSON makes of them.
constexpr size_t kAnswerLimit = 2 << 20;
constexpr int kParametersPerPage = 10;

// An answer about one of the names, which the others need not suffer for.
bool IsAboutOneName(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status) ||
         absl::IsNotFound(status);
}

// A name as it is asked for, without the selector of a version behind it.
std::string_view BaseOf(std::string_view asked) {
  const size_t begin = IsArn(asked) ? asked.rfind('/') : 0;
  if (begin == std::string_view::npos) return asked;
  return asked.substr(0, asked.find(':', begin));
}

// The value that was asked for as `asked` among all `names`; null when that is not certain, which
// only answers that do not repeat the selector make it.
const NamedSecret* AnswerTo(const std::string& asked, const std::vector<std::string>& names,
                            const std::vector<NamedSecret>& values) {
  const std::string_view base = BaseOf(asked);
  const std::string_view selector = std::string_view(asked).substr(base.size());
  const NamedSecret* unmarked = nullptr;
  for (const NamedSecret& value : values) {
    if (base != value.name && base != value.arn) continue;
    if (!selector.empty() && value.selector == selector) return &value;
    if (value.selector.empty()) unmarked = &value;
  }
  const auto same_base = std::count_if(
      names.begin(), names.end(), [base](const std::string& name) { return BaseOf(name) == base; });
  if (same_base == 1) return unmarked;
  return nullptr;
}

std::string Listed(const std::vector<std::string>& names) {
  if (names.size() == 1) return Format("'{}'", names.front());
  return Format("{} parameters", names.size());
}

}  // namespace

std::string ParameterName(const SecretRef& ref) {
  std::string name = ref.key;
  const bool whole = IsArn(name) || name.starts_with('/');
  if (!whole && name.find('/') != std::string::npos) name.insert(0, "/");
  if (!ref.version.empty()) name += ":" + ref.version;
  return name;
}

asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> ParameterStore::Fetch(
    std::vector<SecretRef> refs, MonotonicTime deadline) {
  std::vector<std::string> names;
  for (const SecretRef& ref : refs) names.push_back(ParameterName(ref));
  Results results(refs.size(), Result(absl::UnknownError("not asked")));
  if (refs.size() > 1) {
    absl::StatusOr<Results> together = co_await Get(names, deadline);
    if (together.ok()) {
      results = *std::move(together);
    } else if (!IsAboutOneName(together.status())) {
      results.assign(refs.size(), Result(together.status()));
      co_return results;
    }
  }
  // What was not answered is asked for alone, and so is what may be called "/name".
  std::vector<std::function<asio::awaitable<Result>()>> starts;
  std::vector<size_t> places;
  const auto self = shared_from_this();
  for (size_t i = 0; i < refs.size(); ++i) {
    const bool may_have_slash = !names[i].starts_with('/') && !IsArn(names[i]);
    const absl::Status status = results[i].status();
    if (!absl::IsUnknown(status) && !(absl::IsNotFound(status) && may_have_slash)) continue;
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

asio::awaitable<ParameterStore::Result> ParameterStore::FetchOne(SecretRef ref,
                                                                 MonotonicTime deadline) {
  std::vector<std::string> names{ParameterName(ref)};
  if (!names[0].starts_with('/') && !IsArn(names[0])) {
    names.push_back("/" + names[0]);
    if (slashed_.contains(ref.key)) std::swap(names[0], names[1]);
  }
  Result first = absl::UnknownError("not asked");
  for (size_t i = 0; i < names.size(); ++i) {
    std::vector<std::string> one{names[i]};
    absl::StatusOr<Results> answer = co_await Get(std::move(one), deadline);
    Result result = answer.ok() ? std::move(answer->front()) : Result(answer.status());
    if (result.ok()) co_return result;
    const bool not_found = absl::IsNotFound(result.status());
    if (i == 0) first = std::move(result);
    if (!not_found) break;
  }
  co_return first;
}

asio::awaitable<absl::StatusOr<ParameterStore::Results>> ParameterStore::Get(
    std::vector<std::string> names, MonotonicTime deadline) {
  ApiCall call;
  call.action = "GetParameters";
  for (const std::string& name : names) call.body["Names"].push_back(SecretString(name));
  call.body["WithDecryption"] = true;
  call.subject = Listed(names);
  call.deadline = deadline;
  call.answer_limit = kAnswerLimit;
  ApiResult answer = co_await client_->Call(std::move(call));
  if (!answer.body.ok()) co_return answer.body.status();
  absl::StatusOr<ParametersAnswer> parsed = ParseParameters(answer.body->ExposeAsText());
  if (!parsed.ok()) {
    co_return WithContext(parsed.status(),
                          Format("{}, GetParameters of {}", client_->name(), Listed(names)));
  }
  std::vector<SecretPtr> values;
  for (NamedSecret& value : parsed->values) {
    values.push_back(std::make_shared<const Secret>(std::move(value.secret)));
  }
  Results results;
  for (const std::string& name : names) {
    const NamedSecret* found = AnswerTo(name, names, parsed->values);
    if (found != nullptr) {
      results.emplace_back(values[found - parsed->values.data()]);
    } else if (names.size() == 1 && values.size() == 1) {
      results.emplace_back(values.front());
    } else if (names.size() == 1 || parsed->missing.contains(name)) {
      results.emplace_back(
          absl::NotFoundError(Format("{}: there is no parameter '{}'", client_->name(), name)));
    } else {
      results.emplace_back(absl::UnknownError("not answered"));
    }
  }
  co_return results;
}

asio::awaitable<absl::StatusOr<ListPage>> ParameterStore::List(std::string prefix, std::string page,
                                                               MonotonicTime deadline) {
  // The folder that the prefix lies in; EntriesBelow leaves out what the rest of it does not fit.
  std::string path =
      prefix.substr(0, prefix.rfind('/') == std::string::npos ? 0 : prefix.rfind('/'));
  if (!path.starts_with('/')) path.insert(0, "/");
  ApiCall call;
  call.action = "GetParametersByPath";
  call.body["Path"] = SecretString(path);
  call.body["Recursive"] = true;
  call.body["WithDecryption"] = false;
  call.body["MaxResults"] = kParametersPerPage;
  if (!page.empty()) call.body["NextToken"] = SecretString(page);
  call.subject = Format("'{}'", path);
  call.deadline = deadline;
  call.answer_limit = kAnswerLimit;
  ApiResult answer = co_await client_->Call(std::move(call));
  if (!answer.body.ok()) co_return answer.body.status();
  absl::StatusOr<NamePage> names = ParseParameterNames(answer.body->ExposeAsText());
  if (!names.ok()) co_return WithContext(names.status(), client_->name() + ", GetParametersByPath");
  co_return ListPage{EntriesBelow(prefix, names->names, slashed_), std::move(names->next_token)};
}

asio::awaitable<absl::Status> ParameterStore::Probe(MonotonicTime deadline) {
  ApiCall call;
  call.action = "DescribeParameters";
  call.body["MaxResults"] = 1;
  call.deadline = deadline;
  const ApiResult answer = co_await client_->Call(std::move(call));
  if (absl::IsPermissionDenied(answer.body.status())) co_return absl::OkStatus();
  co_return answer.body.status();
}

}  // namespace secretfs::providers::aws
