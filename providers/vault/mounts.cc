#include "providers/vault/mounts.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

constexpr Duration kAskDeadline = std::chrono::seconds(15);
constexpr Duration kAskAgain = std::chrono::seconds(60);

std::string_view FirstComponent(std::string_view path) { return path.substr(0, path.find('/')); }

}  // namespace

asio::awaitable<absl::StatusOr<std::optional<Mount>>> Mounts::Find(std::string path,
                                                                   TokenBytes token,
                                                                   MonotonicTime deadline) {
  // Twice: the lookup under way may be that of another mount with the same first component.
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::optional<Mount> known = FindKnown(path);
    if (known.has_value() || MayNotKnow(path)) co_return known;
    std::unique_ptr<SharedTask>& task = asking_[std::string(FirstComponent(path))];
    if (task == nullptr) {
      task = std::make_unique<SharedTask>(client_->context(), client_->clock(),
                                          "lookup of the secrets engine");
    }
    const std::shared_ptr<Mounts> self = shared_from_this();
    SharedTask::Start start = [self, path, token] { return self->Ask(path, token); };
    const absl::Status status = co_await task->Run(self, std::move(start), deadline);
    if (!status.ok()) co_return status;
  }
  co_return FindKnown(path);
}

asio::awaitable<absl::Status> Mounts::Ask(std::string path, TokenBytes token) {
  const MonotonicTime deadline = client_->clock().Now() + kAskDeadline;
  Call call;
  call.path = Format("sys/internal/ui/mounts/{}", EncodePath(path));
  call.token = token;
  call.deadline = deadline;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const std::string doing = Format("looking for the secrets engine of {}", path);
  const absl::Status status = client_->StatusOf(*response, doing);
  if (status.ok()) {
    absl::StatusOr<Mount> mount = ParseMount(response->body.ExposeAsText());
    if (!mount.ok()) {
      co_return WithContext(mount.status(), Format("Vault at {}, {}", client_->address(), doing));
    }
    // An answer about another path would be asked for again and again.
    if (!IsBelow(path, mount->path)) {
      co_return absl::UnavailableError(Format("Vault at {}, {}: the answer is about '{}'",
                                              client_->address(), doing, mount->path));
    }
    Learn(std::move(*mount));
    co_return absl::OkStatus();
  }
  if (IsTransient(status)) co_return status;
  if (SaysInvalidToken(*response)) {
    co_return absl::Status(absl::StatusCode::kUnauthenticated, status.message());
  }
  absl::StatusOr<std::vector<Mount>> all = co_await All(token, deadline);
  if (absl::IsUnauthenticated(all.status()) || IsTransient(all.status())) co_return all.status();
  if (all.ok()) {
    for (Mount& mount : *all) Learn(std::move(mount));
  }
  if (!FindKnown(path).has_value()) {
    may_not_know_since_[std::string(FirstComponent(path))] = client_->clock().Now();
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<std::vector<Mount>>> Mounts::All(TokenBytes token,
                                                                MonotonicTime deadline) {
  Call call;
  call.path = "sys/internal/ui/mounts";
  call.token = std::move(token);
  call.deadline = deadline;
  call.answer_limit = kListAnswerLimit;
  const absl::StatusOr<HttpResponse> response = co_await client_->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const absl::Status status = client_->StatusOf(*response, "listing the secrets engines");
  if (SaysInvalidToken(*response)) {
    co_return absl::Status(absl::StatusCode::kUnauthenticated, status.message());
  }
  if (!status.ok()) co_return status;
  co_return ParseMounts(response->body.ExposeAsText());
}

std::optional<Mount> Mounts::FindKnown(std::string_view path) const {
  // Vault has no mount inside another, so the first hit is the only one.
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const auto found = known_.find(path.substr(0, end));
    if (found != known_.end()) return found->second.mount;
    if (end == std::string_view::npos) return std::nullopt;
  }
}

bool Mounts::MayNotKnow(std::string_view path) {
  const auto found = may_not_know_since_.find(FirstComponent(path));
  if (found == may_not_know_since_.end()) return false;
  if (client_->clock().Now() - found->second < kAskAgain) return true;
  may_not_know_since_.erase(found);
  return false;
}

void Mounts::Learn(Mount mount) {
  std::string path = mount.path;
  known_.insert_or_assign(std::move(path), Known{std::move(mount), client_->clock().Now()});
}

void Mounts::Doubt(std::string_view mount) {
  const auto found = known_.find(mount);
  if (found == known_.end()) return;
  if (client_->clock().Now() - found->second.since >= kAskAgain) known_.erase(found);
}

}  // namespace secretfs::providers::vault
