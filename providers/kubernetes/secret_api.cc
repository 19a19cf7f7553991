#include "providers/kubernetes/secret_api.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::kubernetes {
namespace {

// Values stay with the server where only names and versions are wanted: these forms hold the
// metadata alone. A server that does not know them sends whole objects, whose metadata is read.
constexpr char kListForm[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
constexpr char kWatchForm[] =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
constexpr int kPageSize = 500;
constexpr size_t kMostPages = 1000;

// The server ends a watch after this time; it is then started anew from where it was.
constexpr std::chrono::seconds kWatchTime(300);
// Servers send a bookmark about once a minute: a watch this silent is taken for dead.
constexpr std::chrono::seconds kWatchSilence(150);
constexpr std::chrono::seconds kWatchStartLimit(15);
constexpr size_t kErrorBodyLimit = 64 << 10;

std::string EncodeQueryValue(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : Format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

std::string Selector(const std::string& only) {
  return only.empty() ? "" : Format("&fieldSelector=metadata.name%3D{}", only);
}

// The rest of an answer that is no stream of events, as a whole one.
asio::awaitable<HttpResponse> WholeAnswer(HttpStream* stream) {
  HttpResponse response;
  response.status = stream->status();
  response.headers = stream->headers();
  SecretBuilder body(kErrorBodyLimit);
  for (;;) {
    const absl::StatusOr<SecretBytes> bytes = co_await stream->Next();
    if (!bytes.ok() || bytes->empty() || !body.Append(bytes->bytes()).ok()) break;
  }
  response.body = body.Finish();
  co_return response;
}

}  // namespace

bool IsObjectName(std::string_view name) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 253 && is_letter_or_digit(name.front()) &&
         is_letter_or_digit(name.back()) && std::all_of(name.begin(), name.end(), [&](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '.';
         });
}

std::string SecretApi::Path(std::string_view rest) const {
  return Format("/api/v1/namespaces/{}/secrets{}", name_space_, rest);
}

asio::awaitable<absl::StatusOr<Secret>> SecretApi::Read(std::string name, MonotonicTime deadline) {
  Call call;
  call.path = Path("/" + name);
  call.deadline = deadline;
  call.answer_limit = kSecretAnswerLimit;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const std::string doing = Format("reading Secret {}/{}", name_space_, name);
  const absl::Status status = client_->StatusOf(*response, doing);
  if (!status.ok()) co_return status;
  absl::StatusOr<Secret> secret = ParseSecret(response->body.ExposeAsText());
  if (secret.ok()) co_return secret;
  co_return WithContext(secret.status(), Format("Kubernetes at {}, {}", client_->address(), doing));
}

asio::awaitable<absl::StatusOr<MetadataList>> SecretApi::List(std::string only, std::string page,
                                                              MonotonicTime deadline) {
  Call call;
  const std::string next = page.empty() ? "" : "&continue=" + EncodeQueryValue(page);
  call.path = Path(Format("?limit={}{}{}", kPageSize, Selector(only), next));
  call.accept = kListForm;
  call.deadline = deadline;
  call.answer_limit = kListAnswerLimit;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const std::string doing = Format("listing the Secrets of namespace {}", name_space_);
  const absl::Status status = client_->StatusOf(*response, doing);
  if (response->status == 410) {
    // Too much time since the page before. The server says how to go on, if it can.
    MetadataList nothing;
    nothing.next_page = ParseApiStatus(response->body.ExposeAsText()).next_page;
    if (nothing.next_page.empty()) co_return absl::AbortedError(status.message());
    co_return nothing;
  }
  if (!status.ok()) co_return status;
  absl::StatusOr<MetadataList> list = ParseMetadataList(response->body.ExposeAsText());
  if (list.ok()) co_return list;
  co_return WithContext(list.status(), Format("Kubernetes at {}, {}", client_->address(), doing));
}

asio::awaitable<absl::StatusOr<MetadataList>> SecretApi::ListAll(std::string only,
                                                                 MonotonicTime deadline) {
  MetadataList all;
  for (size_t pages = 0; pages < kMostPages; ++pages) {
    std::string same_only = only;
    std::string page = all.next_page;
    absl::StatusOr<MetadataList> part =
        co_await List(std::move(same_only), std::move(page), deadline);
    if (!part.ok()) co_return part.status();
    for (ObjectMetadata& item : part->items) all.items.push_back(std::move(item));
    // All pages show the state of one moment. (After an expired page they do not: the first moment
    // is the one from which nothing is missed.)
    if (all.resource_version.empty()) all.resource_version = part->resource_version;
    all.next_page = std::move(part->next_page);
    if (all.next_page.empty()) co_return all;
  }
  co_return absl::ResourceExhaustedError("the list of Secrets does not end");
}

asio::awaitable<absl::StatusOr<std::unique_ptr<HttpStream>>> SecretApi::Watch(
    std::string only, std::string resource_version) {
  Call call;
  call.path =
      Path(Format("?watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}{}",
                  EncodeQueryValue(resource_version), kWatchTime.count(), Selector(only)));
  call.accept = kWatchForm;
  call.deadline = client_->clock().Now() + kWatchStartLimit;
  const HttpStreamOptions options = {.idle_limit = kWatchSilence};
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      co_await client_->Stream(std::move(call), options);
  if (!stream.ok() || (*stream)->status() == 200) co_return stream;
  const HttpResponse response = co_await WholeAnswer(stream->get());
  const absl::Status status =
      client_->StatusOf(response, Format("watching the Secrets of namespace {}", name_space_));
  if (response.status == 410) co_return absl::OutOfRangeError(status.message());
  if (!status.ok()) co_return status;
  co_return absl::UnavailableError(
      Format("Kubernetes at {}: a watch was answered {}", client_->address(), response.status));
}

asio::awaitable<absl::Status> SecretApi::Check(MonotonicTime deadline) {
  // Open to everybody, but not with a credential that is wrong; whether Secrets may be read is not
  // asked, because that may be allowed by name.
  Call call;
  call.path = "/version";
  call.deadline = deadline;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const absl::Status status = client_->StatusOf(*response, "checking the credential");
  co_return absl::IsPermissionDenied(status) ? absl::OkStatus() : status;
}

}  // namespace secretfs::providers::kubernetes
