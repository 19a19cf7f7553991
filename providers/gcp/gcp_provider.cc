#include "providers/gcp/gcp_provider.h"

#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/content_version.h"
#include "providers/gcp/gcp_api.h"
#include "providers/gcp/gcp_client.h"
#include "providers/gcp/gcp_key.h"
#include "providers/gcp/session.h"
#include "providers/gcp/token_source.h"

namespace secretfs::providers {
namespace gcp {
namespace {

// A version's number says which content it is, until the secret is deleted and made anew, when
// numbers start again. So the content counts, too: by a digest that gives nothing away.
std::string VersionOf(const AccessedVersion& accessed) {
  return Format("{}@{}", accessed.number, ContentVersion(accessed.value.bytes()));
}

class GcpProvider final : public OneByOneProvider {
 public:
  GcpProvider(const GcpStoreConfig& config, std::shared_ptr<Client> client,
              std::shared_ptr<Session> session)
      : home_{config.project_id, config.location},
        selection_(config.secret_version_selection_policy),
        client_(std::move(client)),
        session_(std::move(session)),
        api_(std::make_shared<Api>(
            client_, session_,
            Api::Options{config.endpoints.secret_manager, config.quota_project})) {}
  ~GcpProvider() override { client_->Stop(); }

  Capabilities capabilities() const override { return {.list = true}; }

  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                 RequestContext context) override {
    const absl::StatusOr<NamePrefix> parsed = ParsePrefix(prefix, home_);
    if (!parsed.ok()) co_return parsed.status();
    const bool is_first = page.empty();
    absl::StatusOr<SecretPage> names =
        co_await api_->ListSecrets(*parsed, std::move(page), 0, context.deadline);
    if (!names.ok()) co_return names.status();
    ListPage result;
    result.next_page = std::move(names->next_page);
    for (std::string& name : names->names) {
      if (!name.starts_with(parsed->begin)) continue;
      result.entries.push_back({.name = std::move(name), .is_secret = true, .is_prefix = false});
    }
    const bool is_all = is_first && result.next_page.empty();
    if (is_all && result.entries.empty() && !parsed->begin.empty()) {
      co_return absl::NotFoundError(
          Format("no secret of {} begins with '{}'", ParentPath(parsed->home), parsed->begin));
    }
    co_return result;
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext context) override {
    const absl::StatusOr<TokenBytes> token = co_await session_->Token(context.deadline);
    // Without a project of its own the store has nothing to try the token on.
    if (!token.ok() || home_.project.empty()) co_return token.status();
    const NamePrefix prefix{home_, ""};
    const absl::StatusOr<SecretPage> names =
        co_await api_->ListSecrets(prefix, "", 1, context.deadline);
    // Who may read secrets need not be allowed to list them: the token was accepted.
    const bool may_not_list = absl::IsPermissionDenied(names.status()) &&
                              MessageOf(names.status()).find("_DISABLED") == std::string_view::npos;
    if (may_not_list) co_return absl::OkStatus();
    co_return names.status();
  }

  asio::awaitable<void> Close(RequestContext) override {
    session_->Close();
    co_return;
  }

 private:
  asio::awaitable<absl::StatusOr<SecretPtr>> FetchOne(SecretRef ref,
                                                      MonotonicTime deadline) override {
    absl::StatusOr<SecretName> name = ParseKey(ref, home_);
    if (!name.ok()) co_return name.status();
    Api::Accessed accessed = co_await api_->Access(*name, deadline);
    const bool takes_another =
        selection_ == GcpVersionSelection::kLatestOrFetch && !name->version_given;
    if (accessed.is_unusable && takes_another) {
      absl::StatusOr<std::string> newest = co_await api_->NewestEnabled(*name, deadline);
      if (!newest.ok()) co_return newest.status();
      name->version = *std::move(newest);
      accessed = co_await api_->Access(*name, deadline);
    }
    if (!accessed.version.ok()) co_return accessed.version.status();
    auto secret = std::make_shared<Secret>();
    secret->version = VersionOf(*accessed.version);
    secret->value = std::move(accessed.version->value);
    co_return SecretPtr(std::move(secret));
  }

  const Home home_;
  const GcpVersionSelection selection_;
  std::shared_ptr<Client> client_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Api> api_;
};

// "https://host/" and "https://host" mean the same.
absl::Status NormaliseServer(std::string& url, std::string_view what) {
  if (url.empty()) return absl::OkStatus();
  while (url.ends_with('/')) url.pop_back();
  return CheckTrustedUrl(url, what);
}

}  // namespace
}  // namespace gcp

absl::StatusOr<std::shared_ptr<Provider>> MakeGcpProvider(const GcpStoreConfig& config,
                                                          asio::io_context& context,
                                                          const Clock& clock, Scheduler&) {
  GcpStoreConfig normal = config;
  SECRETFS_RETURN_IF_ERROR(gcp::CheckHome({normal.project_id, normal.location}));
  SECRETFS_RETURN_IF_ERROR(
      gcp::NormaliseServer(normal.endpoints.secret_manager, "address of Secret Manager"));
  SECRETFS_RETURN_IF_ERROR(
      gcp::NormaliseServer(normal.endpoints.sts, "address of the security token service"));
  SECRETFS_RETURN_IF_ERROR(
      gcp::NormaliseServer(normal.endpoints.iam_credentials, "address of IAM credentials"));
  auto client = std::make_shared<gcp::Client>(normal.tls, context, clock);
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<gcp::TokenSource> source,
                            gcp::MakeTokenSource(normal, client));
  auto session = std::make_shared<gcp::Session>(client, std::move(source));
  return std::make_shared<gcp::GcpProvider>(normal, std::move(client), std::move(session));
}

}  // namespace secretfs::providers
