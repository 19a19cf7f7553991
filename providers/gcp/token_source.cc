#include "providers/gcp/token_source.h"

#include <sys/stat.h>

#include <functional>
#include <utility>

#include "base/file_access.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::gcp {
namespace {

constexpr std::string_view kJwtTokenType = "urn:ietf:params:oauth:token-type:jwt";

std::string StsUrl(const GcpEndpoints& endpoints) {
  return (endpoints.sts.empty() ? "https://sts.googleapis.com" : endpoints.sts) + "/v1/token";
}

// A credentials file, read again when it changed.
class FileSource final : public TokenSource {
 public:
  // Looks over, and may change, what was read.
  using Review = std::function<absl::Status(GoogleCredentials&)>;

  FileSource(CredentialSource source, Review review, std::shared_ptr<Client> client)
      : credential_(std::move(source), "Google credentials"),
        review_(std::move(review)),
        client_(std::move(client)) {}

  std::string Description() const override {
    if (inner_ == nullptr) return credential_.Description();
    return Format("{} ({})", inner_->Description(), credential_.Description());
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    if (inner_ == nullptr || credential_.Changed()) {
      const absl::Status loaded = Load();
      if (!loaded.ok()) co_return loaded;
    }
    co_return co_await inner_->Get(deadline);
  }

  bool HasNewCredential() const override {
    return credential_.Changed() || (inner_ != nullptr && inner_->HasNewCredential());
  }
  std::string QuotaProject() const override { return quota_project_; }

 private:
  absl::Status Load() {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes content, credential_.Read());
    absl::StatusOr<GoogleCredentials> parsed = ParseCredentials(content.ExposeAsText());
    if (parsed.ok() && review_) {
      const absl::Status reviewed = review_(*parsed);
      if (!reviewed.ok()) parsed = reviewed;
    }
    if (!parsed.ok()) {
      // Whoever asked names the file.
      return absl::Status(absl::StatusCode::kFailedPrecondition, parsed.status().message());
    }
    quota_project_ = parsed->quota_project;
    inner_ = MakeCredentialsSource(*std::move(parsed), client_);
    return absl::OkStatus();
  }

  Credential credential_;
  const Review review_;
  std::shared_ptr<Client> client_;
  std::unique_ptr<TokenSource> inner_;
  std::string quota_project_;
};

std::unique_ptr<TokenSource> MakeFileSource(const std::string& path,
                                            std::shared_ptr<Client> client) {
  CredentialSource source;
  source.file = path;
  return std::make_unique<FileSource>(std::move(source), nullptr, std::move(client));
}

// Application Default Credentials: looked for anew at each Get, because gcloud may have made or
// removed the file since.
class DefaultSource final : public TokenSource {
 public:
  DefaultSource(const GcpDefaultAuth& config, std::shared_ptr<MetadataServer> metadata,
                std::shared_ptr<Client> client)
      : named_(config.credentials_file.empty() ? nullptr
                                               : MakeFileSource(config.credentials_file, client)),
        well_known_file_(config.well_known_file),
        well_known_(MakeFileSource(config.well_known_file, client)),
        machine_(MakeMetadataSource(std::move(metadata))) {}

  std::string Description() const override {
    return Format("Application Default Credentials: {}", Chosen().Description());
  }
  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    co_return co_await Chosen().Get(deadline);
  }
  bool HasNewCredential() const override { return Chosen().HasNewCredential(); }
  std::string QuotaProject() const override { return Chosen().QuotaProject(); }

 private:
  TokenSource& Chosen() const {
    if (named_ != nullptr) return *named_;
    struct stat status;
    const bool there = !well_known_file_.empty() && StatFile(well_known_file_, status) == 0;
    return there ? *well_known_ : *machine_;
  }

  const std::unique_ptr<TokenSource> named_;  // null: none is named
  const std::string well_known_file_;
  const std::unique_ptr<TokenSource> well_known_;
  const std::unique_ptr<TokenSource> machine_;
};

// The token that a cluster at Google gave a pod, traded at the security token service.
class WorkloadIdentitySource final : public TokenSource {
 public:
  WorkloadIdentitySource(GcpWorkloadIdentityAuth config, GcpEndpoints endpoints,
                         std::shared_ptr<MetadataServer> metadata, std::shared_ptr<Client> client)
      : config_(std::move(config)),
        endpoints_(std::move(endpoints)),
        metadata_(std::move(metadata)),
        client_(std::move(client)) {}

  std::string Description() const override {
    return inner_ == nullptr ? "workload identity of a GKE cluster" : inner_->Description();
  }

  asio::awaitable<absl::StatusOr<AccessToken>> Get(MonotonicTime deadline) override {
    if (inner_ == nullptr) {
      const absl::Status known = co_await LearnCluster(deadline);
      if (!known.ok()) co_return WithContext(known, "finding out which cluster this is");
      MakeInner();
    }
    co_return co_await inner_->Get(deadline);
  }

  bool HasNewCredential() const override { return inner_ != nullptr && inner_->HasNewCredential(); }

 private:
  asio::awaitable<absl::Status> LearnCluster(MonotonicTime deadline) {
    const std::pair<std::string*, const char*> unknown[] = {
        {&config_.cluster_project_id, "project/project-id"},
        {&config_.cluster_location, "instance/attributes/cluster-location"},
        {&config_.cluster_name, "instance/attributes/cluster-name"},
    };
    for (const auto& [field, path] : unknown) {
      if (!field->empty()) continue;
      std::string name = path;
      const absl::StatusOr<SecretBytes> answer = co_await metadata_->Get(std::move(name), deadline);
      if (!answer.ok()) co_return answer.status();
      *field = answer->ExposeAsText();
    }
    co_return absl::OkStatus();
  }

  void MakeInner() {
    ExternalAccount account;
    account.audience = Format(
        "identitynamespace:{0}.svc.id.goog:https://container.googleapis.com/v1/projects/{0}/"
        "locations/{1}/clusters/{2}",
        config_.cluster_project_id, config_.cluster_location, config_.cluster_name);
    account.subject_token_type = kJwtTokenType;
    account.token_url = StsUrl(endpoints_);
    account.source.credential = config_.token;
    if (!config_.service_account.empty()) {
      account.impersonation_url =
          ImpersonationUrl(endpoints_.iam_credentials, config_.service_account);
    }
    GoogleCredentials credentials;
    credentials.kind = std::move(account);
    inner_ = MakeCredentialsSource(std::move(credentials), client_);
  }

  GcpWorkloadIdentityAuth config_;
  const GcpEndpoints endpoints_;
  std::shared_ptr<MetadataServer> metadata_;
  std::shared_ptr<Client> client_;
  std::unique_ptr<TokenSource> inner_;
};

// Only what the manifest allows of a federation's configuration file.
absl::Status ReviewFederation(const GcpWorkloadIdentityFederationAuth& config,
                              GoogleCredentials& credentials) {
  auto* account = std::get_if<ExternalAccount>(&credentials.kind);
  if (account == nullptr) {
    return absl::InvalidArgumentError("its type is another than external_account");
  }
  if (!config.audience.empty()) account->audience = config.audience;
  const std::string& allowed = config.external_token_endpoint;
  if (!allowed.empty() && !account->source.url.empty() && account->source.url != allowed) {
    return absl::InvalidArgumentError(
        "its credential_source.url is another than the store's externalTokenEndpoint");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TokenSource>> MakeFederation(
    const GcpWorkloadIdentityFederationAuth& config, const GcpEndpoints& endpoints,
    std::shared_ptr<Client> client) {
  if (config.cred_config.empty() == config.token.empty()) {
    return absl::InvalidArgumentError(
        "workload identity federation needs either a credConfig or a token");
  }
  if (!config.cred_config.empty()) {
    FileSource::Review review = [config](GoogleCredentials& credentials) {
      return ReviewFederation(config, credentials);
    };
    return std::make_unique<FileSource>(config.cred_config, std::move(review), std::move(client));
  }
  if (config.audience.empty()) {
    return absl::InvalidArgumentError(
        "workload identity federation with a token needs the audience: "
        "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/"
        "providers/PROVIDER");
  }
  ExternalAccount account;
  account.audience = config.audience;
  account.subject_token_type = kJwtTokenType;
  account.token_url = StsUrl(endpoints);
  account.source.credential = config.token;
  if (!config.service_account.empty()) {
    account.impersonation_url = ImpersonationUrl(endpoints.iam_credentials, config.service_account);
  }
  GoogleCredentials credentials;
  credentials.kind = std::move(account);
  return MakeCredentialsSource(std::move(credentials), std::move(client));
}

}  // namespace

std::unique_ptr<TokenSource> MakeCredentialsSource(GoogleCredentials credentials,
                                                   std::shared_ptr<Client> client) {
  if (auto* key = std::get_if<ServiceAccountKey>(&credentials.kind)) {
    return MakeServiceAccountSource(std::move(*key), std::move(client));
  }
  if (auto* user = std::get_if<UserLogin>(&credentials.kind)) {
    return MakeUserSource(std::move(*user), std::move(client));
  }
  if (auto* account = std::get_if<ExternalAccount>(&credentials.kind)) {
    Impersonation impersonation{account->impersonation_url, {}, account->impersonation_life};
    auto source = MakeExternalAccountSource(std::move(*account), client);
    if (impersonation.url.empty()) return source;
    return MakeImpersonationSource(std::move(source), std::move(impersonation), std::move(client));
  }
  auto& impersonated = std::get<ImpersonatedServiceAccount>(credentials.kind);
  auto source = MakeCredentialsSource(std::move(*impersonated.source), client);
  Impersonation impersonation{
      std::move(impersonated.impersonation_url), std::move(impersonated.delegates), {}};
  return MakeImpersonationSource(std::move(source), std::move(impersonation), std::move(client));
}

absl::StatusOr<std::unique_ptr<TokenSource>> MakeTokenSource(const GcpStoreConfig& config,
                                                             std::shared_ptr<Client> client) {
  auto metadata = std::make_shared<MetadataServer>(config.endpoints.metadata, client);
  if (const auto* own = std::get_if<GcpDefaultAuth>(&config.auth)) {
    return std::make_unique<DefaultSource>(*own, std::move(metadata), std::move(client));
  }
  if (const auto* key = std::get_if<GcpSecretRefAuth>(&config.auth)) {
    if (key->secret_access_key.empty()) {
      return absl::InvalidArgumentError(
          "secretRef authentication needs a credentials file: a file, an environment variable or a "
          "value");
    }
    return std::make_unique<FileSource>(key->secret_access_key, nullptr, std::move(client));
  }
  if (const auto* workload = std::get_if<GcpWorkloadIdentityAuth>(&config.auth)) {
    if (workload->token.empty()) return MakeMetadataSource(std::move(metadata));
    return std::make_unique<WorkloadIdentitySource>(*workload, config.endpoints,
                                                    std::move(metadata), std::move(client));
  }
  return MakeFederation(std::get<GcpWorkloadIdentityFederationAuth>(config.auth), config.endpoints,
                        std::move(client));
}

}  // namespace secretfs::providers::gcp
