#include "providers/azure/azure_provider.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/azure/azure_key.h"
#include "providers/azure/azure_response.h"
#include "providers/azure/cloud.h"
#include "providers/azure/key_vault.h"
#include "providers/azure/session.h"
#include "providers/azure/token_source.h"
#include "providers/http/url.h"

namespace secretfs::providers {
namespace azure {
namespace {

constexpr std::string_view kPageSize = "maxresults=25";  // the most that a vault gives
constexpr size_t kMostVersionPages = 400;

class AzureProvider final : public OneByOneProvider {
 public:
  AzureProvider(std::shared_ptr<KeyVault> vault, std::shared_ptr<Transport> metadata,
                bool external_secrets_formats)
      : vault_(std::move(vault)),
        metadata_(std::move(metadata)),
        external_secrets_formats_(external_secrets_formats) {}
  ~AzureProvider() override {
    vault_->Stop();
    metadata_->Stop();
  }

  Capabilities capabilities() const override { return {.list = true}; }

  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                 RequestContext context) override {
    const absl::StatusOr<Kind> kind = ParsePrefix(prefix);
    if (!kind.ok()) co_return kind.status();
    const std::string path(CollectionOf(*kind));
    absl::StatusOr<SecretBytes> body = co_await GetPage(path, page, context.deadline);
    if (!body.ok()) co_return body.status();
    absl::StatusOr<NamePage> names = ParseNames(body->ExposeAsText(), *kind);
    if (!names.ok()) co_return WithContext(names.status(), Where(Format("listing {}", path)));
    co_return ListPage{std::move(names->entries), std::move(names->next_link)};
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext context) override {
    const absl::StatusOr<SecretBytes> page = co_await vault_->Get(
        "secrets", "maxresults=1", "looking whether it can be used", context.deadline);
    // Whoever may read single secrets only is known to the vault all the same.
    const bool may_not_list = absl::IsPermissionDenied(page.status()) &&
                              MessageOf(page.status()).find("allow") != std::string_view::npos;
    co_return may_not_list ? absl::OkStatus() : page.status();
  }

 private:
  std::string Where(std::string_view doing) const {
    return Format("Key Vault at {}, {}", vault_->host(), doing);
  }

  // The first page of the list at `path`, or the one that `next_link` names.
  asio::awaitable<absl::StatusOr<SecretBytes>> GetPage(std::string path, std::string next_link,
                                                       MonotonicTime deadline) {
    std::string doing = Format("listing {}", path);
    if (next_link.empty()) {
      co_return co_await vault_->Get(std::move(path), std::string(kPageSize), std::move(doing),
                                     deadline);
    }
    co_return co_await vault_->GetPage(std::move(next_link), std::move(path), std::move(doing),
                                       deadline);
  }

  asio::awaitable<absl::StatusOr<SecretPtr>> FetchOne(SecretRef ref,
                                                      MonotonicTime deadline) override {
    const absl::StatusOr<ObjectKey> key = ParseKey(ref, external_secrets_formats_);
    if (!key.ok()) co_return key.status();
    std::string version = key->version;
    if (key->before.has_value()) {
      absl::StatusOr<std::string> found = co_await FindVersion(*key, deadline);
      if (!found.ok()) co_return found.status();
      version = *std::move(found);
    }
    std::string doing = Format("reading the {}", Describe(*key));
    if (!version.empty()) doing += Format(", version {}", version);
    std::string path = Format("{}/{}{}{}", CollectionOf(key->kind), key->name,
                              version.empty() ? "" : "/", version);
    const std::string where = Where(doing);
    const absl::StatusOr<SecretBytes> body =
        co_await vault_->Get(std::move(path), "", std::move(doing), deadline);
    if (!body.ok()) co_return body.status();
    absl::StatusOr<Secret> secret = ParseObject(body->ExposeAsText(), *key);
    if (!secret.ok()) co_return WithContext(secret.status(), where);
    co_return std::make_shared<const Secret>(*std::move(secret));
  }

  asio::awaitable<absl::StatusOr<std::string>> FindVersion(ObjectKey key, MonotonicTime deadline) {
    const std::string path = Format("{}/{}/versions", CollectionOf(key.kind), key.name);
    std::vector<ObjectVersion> versions;
    std::string next_link;
    for (size_t count = 0; count < kMostVersionPages; ++count) {
      const absl::StatusOr<SecretBytes> body = co_await GetPage(path, next_link, deadline);
      if (!body.ok()) co_return body.status();
      absl::StatusOr<VersionPage> page = ParseVersions(body->ExposeAsText(), key.kind);
      if (!page.ok()) co_return WithContext(page.status(), Where(Format("listing {}", path)));
      versions.insert(versions.end(), page->versions.begin(), page->versions.end());
      next_link = std::move(page->next_link);
      if (next_link.empty()) break;
    }
    co_return Pick(std::move(versions), key);
  }

  absl::StatusOr<std::string> Pick(std::vector<ObjectVersion> versions,
                                   const ObjectKey& key) const {
    // Versions of the same second have no order; by name, so that it is always the same.
    std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) {
      return std::tie(b.created, b.version) < std::tie(a.created, a.version);
    });
    auto first = versions.begin();
    if (!key.version.empty()) {
      first = std::find_if(versions.begin(), versions.end(), [&key](const ObjectVersion& version) {
        return version.version == key.version;
      });
    }
    if (versions.end() - first <= *key.before) {
      return absl::NotFoundError(Format("{} has no version {} before {}",
                                        Where(Format("the {}", Describe(key))), *key.before,
                                        key.version.empty() ? "the newest" : key.version));
    }
    return (first + *key.before)->version;
  }

  std::shared_ptr<KeyVault> vault_;
  std::shared_ptr<Transport> metadata_;
  const bool external_secrets_formats_;
};

// https://HOST[:PORT] of a URL whose path is empty; http for this machine only, where something
// else may speak TLS on.
absl::StatusOr<std::string> NormalAddress(std::string url, std::string_view field) {
  while (url.ends_with('/')) url.pop_back();
  const absl::StatusOr<Origin> origin = OriginOf(url);
  const size_t authority = url.find("://") + 3;
  if (!origin.ok() || url.find_first_of("/?#@\\ ", authority) != std::string::npos) {
    return absl::InvalidArgumentError(
        Format("the {} '{}' must be https:// and a host, perhaps a port", field, url));
  }
  SECRETFS_RETURN_IF_ERROR(
      CheckConfidential(url, Plaintext::kThisMachine, Format("the {}", field)));
  return url;
}

absl::StatusOr<std::string> AuthorityHost(const AzureStoreConfig& config) {
  if (!config.authority_host.empty()) return NormalAddress(config.authority_host, "authorityHost");
  const std::optional<Cloud> cloud = FindCloud(config.environment_type);
  if (cloud.has_value()) return std::string(cloud->authority_host);
  return absl::InvalidArgumentError(
      Format("the environmentType '{}' needs the address of its authority: give authorityHost",
             config.environment_type));
}

struct MakeSource {
  std::string authority_host;
  const AzureStoreConfig& config;
  std::shared_ptr<Transport> transport, metadata;

  using Result = absl::StatusOr<std::unique_ptr<TokenSource>>;
  Result operator()(const AzureClientSecretAuth& auth) const {
    if (auth.client_id.empty() || auth.client_secret.empty()) {
      return absl::InvalidArgumentError("a service principal needs a client id and a secret");
    }
    return MakeClientSecretSource(auth, authority_host, transport);
  }
  Result operator()(const AzureClientCertificateAuth& auth) const {
    if (auth.client_id.empty() || auth.client_certificate.empty()) {
      return absl::InvalidArgumentError("a service principal needs a client id and a certificate");
    }
    return MakeClientCertificateSource(auth, authority_host, transport);
  }
  Result operator()(const AzureWorkloadIdentityAuth& auth) const {
    if (auth.client_id.empty()) {
      return absl::InvalidArgumentError(
          "workload identity needs a client id: clientId or AZURE_CLIENT_ID");
    }
    if (auth.token.empty()) {
      return absl::InvalidArgumentError(
          "workload identity needs a token: federatedToken or AZURE_FEDERATED_TOKEN_FILE");
    }
    return MakeWorkloadIdentitySource(auth, authority_host, transport);
  }
  Result operator()(const AzureManagedIdentityAuth& auth) const {
    return MakeManagedIdentitySource(auth, config, metadata);
  }
};

absl::StatusOr<SessionOptions> MakeSessionOptions(const AzureStoreConfig& config,
                                                  const std::string& host) {
  SessionOptions options;
  options.vault_host = host;
  options.audience.tenant = config.tenant_id.text;
  options.tenant = config.tenant_id;
  options.verify_challenge_resource = config.verify_challenge_resource;
  if (!options.audience.tenant.empty() && !IsTenant(options.audience.tenant)) {
    return absl::InvalidArgumentError(
        Format("the tenantId '{}' is none; expected an identifier or a domain name",
               config.tenant_id.text));
  }
  options.audience.resource = config.resource;
  while (options.audience.resource.ends_with('/')) options.audience.resource.pop_back();
  options.resource_is_fixed = !options.audience.resource.empty();
  if (!options.resource_is_fixed) options.audience.resource = ResourceOfHost(host);
  return options;
}

}  // namespace
}  // namespace azure

absl::StatusOr<std::shared_ptr<Provider>> MakeAzureProvider(const AzureStoreConfig& config,
                                                            asio::io_context& context,
                                                            const Clock& clock, Scheduler&) {
  SECRETFS_ASSIGN_OR_RETURN(std::string address,
                            azure::NormalAddress(config.vault_url, "vaultUrl"));
  SECRETFS_ASSIGN_OR_RETURN(const Origin origin, OriginOf(address));
  SECRETFS_ASSIGN_OR_RETURN(std::string authority_host, azure::AuthorityHost(config));
  SECRETFS_ASSIGN_OR_RETURN(azure::SessionOptions options,
                            azure::MakeSessionOptions(config, origin.host));
  auto transport =
      std::make_shared<azure::Transport>(context, clock, HttpClientOptions{.tls = config.tls});
  HttpClientOptions direct;
  direct.use_proxy = false;
  direct.plaintext = Plaintext::kMetadata;
  for (const std::string& service : {config.metadata_host, config.identity_endpoint}) {
    if (service.empty()) continue;
    SECRETFS_RETURN_IF_ERROR(CheckConfidential(
        service, Plaintext::kMetadata, "the address of the service for managed identities"));
  }
  auto metadata = std::make_shared<azure::Transport>(context, clock, std::move(direct));
  const azure::MakeSource make{std::move(authority_host), config, transport, metadata};
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<azure::TokenSource> source,
                            std::visit(make, config.auth));
  auto session = std::make_shared<azure::Session>(std::move(options), std::move(source), transport);
  auto vault = std::make_shared<azure::KeyVault>(std::move(address), origin.host, transport,
                                                 std::move(session));
  return std::make_shared<azure::AzureProvider>(std::move(vault), std::move(metadata),
                                                config.external_secrets_formats);
}

}  // namespace secretfs::providers
