#include "providers/aws/aws_provider.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/aws/api_error.h"
#include "providers/aws/backend.h"
#include "providers/aws/endpoints.h"
#include "providers/aws/http_credentials.h"
#include "providers/aws/login.h"
#include "providers/aws/names.h"
#include "providers/aws/parameter_store.h"
#include "providers/aws/region_client.h"
#include "providers/aws/secrets_manager.h"
#include "providers/aws/session.h"
#include "providers/aws/sts.h"
#include "providers/aws/transport.h"

namespace secretfs::providers {
namespace aws {
namespace {

using std::chrono::seconds;

// A region that failed is asked last for this long.
constexpr Duration kRegionPause = seconds(30);

// What all requests of one store share.
struct Connection {
  std::shared_ptr<Transport> transport;
  std::shared_ptr<HttpCredentials> http_credentials;
  std::shared_ptr<Session> session;
};

// A position in a listing that goes on in the region where it began, and knows whether anything was
// found so far.
struct Page {
  bool failover = false;
  bool found_some = false;
  std::string token;  // AWS's own
  std::string Text() const {
    return Format("{}{}{}", failover ? 'f' : 'p', found_some ? '+' : '-', token);
  }
  static Page Parse(std::string_view text) {
    if (text.size() < 2) return {};
    return {text[0] == 'f', text[1] == '+', std::string(text.substr(2))};
  }
};

class AwsProvider final : public Provider {
 public:
  AwsProvider(const AwsStoreConfig& config, Connection connection, const Clock& clock,
              std::shared_ptr<Backend> primary, std::shared_ptr<Backend> failover)
      : service_(config.service),
        prefix_(config.prefix),
        failover_names_(config.failover_names),
        connection_(std::move(connection)),
        clock_(clock),
        primary_(std::move(primary)),
        failover_(std::move(failover)) {}
  ~AwsProvider() override { Stop(); }

  Capabilities capabilities() const override {
    return {.list = true,
            .batch_size = service_ == AwsService::kSecretsManager ? SecretsManager::kBatchSize
                                                                  : ParameterStore::kBatchSize};
  }

  asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                RequestContext context) override {
    std::vector<SecretRef> whole;
    for (const SecretRef& ref : refs) whole.push_back({WholeName(ref.key), ref.version});
    if (failover_ == nullptr) {
      co_return co_await primary_->Fetch(std::move(whole), context.deadline);
    }
    const bool primary_first = clock_.Now() >= primary_not_before_;
    if (!primary_first) whole = FailoverRefs(refs);
    const std::shared_ptr<Backend> first = primary_first ? primary_ : failover_;
    Results results = co_await first->Fetch(std::move(whole), HalfWay(context.deadline));
    co_await AskOtherRegion(refs, results, primary_first, context.deadline);
    co_return results;
  }

  asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string text,
                                                 RequestContext context) override {
    while (prefix.ends_with('/')) prefix.pop_back();
    const std::string whole = prefix_ + (prefix.empty() ? "" : prefix + "/");
    Page page = Page::Parse(text);
    const bool begins = text.empty();
    if (begins && failover_ != nullptr) page.failover = clock_.Now() < primary_not_before_;
    const bool may_switch = begins && failover_ != nullptr;
    const MonotonicTime deadline = may_switch ? HalfWay(context.deadline) : context.deadline;
    std::shared_ptr<Backend> backend = BackendOf(page);
    absl::StatusOr<ListPage> names = co_await backend->List(whole, page.token, deadline);
    if (!names.ok() && may_switch && IsOutage(names.status())) {
      Failed(!page.failover);
      page.failover = !page.failover;
      backend = BackendOf(page);
      absl::StatusOr<ListPage> others = co_await backend->List(whole, page.token, context.deadline);
      if (others.ok()) names = std::move(others);
    }
    if (!names.ok()) co_return names.status();
    page.found_some |= !names->entries.empty();
    page.token = names->next_page;
    if (page.token.empty() && !page.found_some && !prefix.empty()) {
      co_return absl::NotFoundError(Format("AWS has nothing whose name begins with '{}'", whole));
    }
    names->next_page = page.token.empty() ? "" : page.Text();
    co_return names;
  }

  asio::awaitable<absl::Status> CheckLogin(RequestContext context) override {
    const bool alone = failover_ == nullptr;
    const MonotonicTime deadline = alone ? context.deadline : HalfWay(context.deadline);
    absl::Status status = co_await primary_->Probe(deadline);
    if (alone || !IsOutage(status)) co_return status;
    const absl::Status other = co_await failover_->Probe(context.deadline);
    co_return other.ok() ? other : status;
  }

  asio::awaitable<void> Close(RequestContext) override {
    Stop();
    co_return;
  }

 private:
  using Results = std::vector<absl::StatusOr<SecretPtr>>;

  void Stop() {
    connection_.session->Close();
    connection_.transport->Stop();
    connection_.http_credentials->Stop();
  }

  std::string WholeName(const std::string& key) const { return IsArn(key) ? key : prefix_ + key; }

  std::vector<SecretRef> FailoverRefs(const std::vector<SecretRef>& refs) const {
    std::vector<SecretRef> others;
    for (const SecretRef& ref : refs) {
      const auto found = failover_names_.find({ref.key, ref.version});
      if (found == failover_names_.end()) {
        others.push_back({WholeName(ref.key), ref.version});
      } else {
        others.push_back({WholeName(found->second.key), found->second.version});
      }
    }
    return others;
  }

  // Half of the time is for the region that is asked first.
  MonotonicTime HalfWay(MonotonicTime deadline) const {
    const MonotonicTime now = clock_.Now();
    if (deadline == MonotonicTime::max()) return now + seconds(5);
    return now + (deadline - now) / 2;
  }

  void Failed(bool primary) {
    if (primary) primary_not_before_ = clock_.Now() + kRegionPause;
  }

  std::shared_ptr<Backend> BackendOf(const Page& page) const {
    return page.failover && failover_ != nullptr ? failover_ : primary_;
  }

  // Asks the other region for what the first could not give because of an outage. Only its values
  // count: that something is not there is the first region's word.
  asio::awaitable<void> AskOtherRegion(const std::vector<SecretRef>& refs, Results& results,
                                       bool primary_was_first, MonotonicTime deadline) {
    std::vector<SecretRef> missing;
    std::vector<size_t> places;
    for (size_t i = 0; i < refs.size(); ++i) {
      const bool failed = primary_was_first ? IsOutage(results[i].status()) : !results[i].ok();
      if (!failed) continue;
      missing.push_back(refs[i]);
      places.push_back(i);
    }
    if (missing.empty()) co_return;
    if (primary_was_first) Failed(true);
    std::vector<SecretRef> whole;
    if (primary_was_first) {
      whole = FailoverRefs(missing);
    } else {
      for (const SecretRef& ref : missing) whole.push_back({WholeName(ref.key), ref.version});
    }
    const std::shared_ptr<Backend> other = primary_was_first ? failover_ : primary_;
    Results others = co_await other->Fetch(std::move(whole), deadline);
    for (size_t i = 0; i < places.size(); ++i) {
      if (others[i].ok() || !primary_was_first) results[places[i]] = std::move(others[i]);
    }
  }

  const AwsService service_;
  const std::string prefix_;
  const std::map<AwsObjectName, AwsObjectName> failover_names_;
  Connection connection_;
  const Clock& clock_;
  std::shared_ptr<Backend> primary_;
  std::shared_ptr<Backend> failover_;  // null: there is none
  MonotonicTime primary_not_before_;
};

std::string Variable(const AwsSurroundings& surroundings, const std::string& name) {
  return surroundings.variable(name).value_or("");
}

// The address that the configuration or else the environment names; "" for AWS's own.
absl::StatusOr<std::string> Configured(const std::string& endpoint, std::string_view field,
                                       const std::string& variable, Plaintext plaintext,
                                       const AwsSurroundings& surroundings) {
  if (!endpoint.empty()) return CustomEndpoint(endpoint, field, plaintext);
  if (Variable(surroundings, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true") return "";
  for (const std::string& name : {variable, std::string("AWS_ENDPOINT_URL")}) {
    const std::string url = Variable(surroundings, name);
    if (!url.empty()) return CustomEndpoint(url, name, plaintext);
  }
  return "";
}

absl::Status CheckRoles(const AwsStoreConfig& config) {
  std::vector<std::string> roles = config.additional_roles;
  if (!config.role.empty()) roles.push_back(config.role);
  for (const std::string& role : roles) {
    if (IsArn(role)) continue;
    return absl::InvalidArgumentError(
        Format("'{}' is no role; expected arn:aws:iam::ACCOUNT:role/NAME", role));
  }
  const bool options = !config.external_id.empty() || !config.session_tags.empty() ||
                       !config.transitive_tag_keys.empty();
  if (options && config.role.empty()) {
    return absl::InvalidArgumentError(
        "externalID, sessionTags and transitiveTagKeys go with a role, and there is none");
  }
  return absl::OkStatus();
}

absl::Status CheckAuth(const AwsAuth& auth) {
  if (const auto* keys = std::get_if<AwsStaticAuth>(&auth)) {
    if (keys->access_key_id.empty() || keys->secret_access_key.empty()) {
      return absl::InvalidArgumentError("an access key needs its id and its secret");
    }
  } else if (const auto* identity = std::get_if<AwsWebIdentityAuth>(&auth)) {
    if (identity->role_arn.empty() || identity->token.empty()) {
      return absl::InvalidArgumentError("a web identity needs a role and a token");
    }
  } else if (const auto* container = std::get_if<AwsContainerAuth>(&auth)) {
    return CheckContainerUrl(container->url);
  }
  return absl::OkStatus();
}

// The description with what it leaves open filled in from the surroundings.
absl::StatusOr<AwsStoreConfig> Completed(AwsStoreConfig config,
                                         const AwsSurroundings& surroundings) {
  SECRETFS_RETURN_IF_ERROR(CheckRoles(config));
  SECRETFS_RETURN_IF_ERROR(CheckAuth(config.auth));
  if (config.region.empty()) {
    const auto* found = std::get_if<AwsDefaultAuth>(&config.auth);
    config.region = AmbientRegion(surroundings, found == nullptr ? "" : found->profile);
  }
  if (config.region.empty()) {
    return absl::InvalidArgumentError(
        "no AWS region: give the store a region, or set AWS_REGION, or region in the profile");
  }
  if (config.failover_region == config.region) {
    return absl::InvalidArgumentError("the failover region must be another one than the region");
  }
  config.fips |= Variable(surroundings, "AWS_USE_FIPS_ENDPOINT") == "true";
  config.dual_stack |= Variable(surroundings, "AWS_USE_DUALSTACK_ENDPOINT") == "true";
  if (config.tls.ca_file.empty() && config.tls.ca_directory.empty() &&
      config.tls.ca_bundle.empty()) {
    config.tls.ca_file = Variable(surroundings, "AWS_CA_BUNDLE");
  }
  const bool secrets = config.service == AwsService::kSecretsManager;
  const Plaintext plaintext = PlaintextFor(config.tls);
  SECRETFS_ASSIGN_OR_RETURN(config.endpoint, Configured(config.endpoint, "endpoint",
                                                        secrets ? "AWS_ENDPOINT_URL_SECRETS_MANAGER"
                                                                : "AWS_ENDPOINT_URL_SSM",
                                                        plaintext, surroundings));
  SECRETFS_ASSIGN_OR_RETURN(config.sts_endpoint,
                            Configured(config.sts_endpoint, "stsEndpoint", "AWS_ENDPOINT_URL_STS",
                                       plaintext, surroundings));
  const EndpointVariant variant{config.fips, config.dual_stack};
  // Checks the region's name also where its endpoint is not used.
  SECRETFS_ASSIGN_OR_RETURN(const std::string own,
                            EndpointOf(ServiceName(config.service), config.region, variant));
  if (config.endpoint.empty()) config.endpoint = own;
  if (config.failover_region.empty()) return config;
  SECRETFS_ASSIGN_OR_RETURN(const std::string other, EndpointOf(ServiceName(config.service),
                                                                config.failover_region, variant));
  if (config.failover_endpoint.empty()) {
    config.failover_endpoint = other;
  } else {
    SECRETFS_ASSIGN_OR_RETURN(
        config.failover_endpoint,
        CustomEndpoint(config.failover_endpoint, "failoverEndpoint", plaintext));
  }
  return config;
}

absl::StatusOr<std::vector<Sts::Place>> StsPlaces(const AwsStoreConfig& config) {
  std::vector<Sts::Place> places;
  if (!config.sts_endpoint.empty()) return {{{config.sts_endpoint, config.region}}};
  for (const std::string& region : {config.region, config.failover_region}) {
    if (region.empty()) continue;
    SECRETFS_ASSIGN_OR_RETURN(std::string endpoint,
                              EndpointOf("sts", region, {config.fips, config.dual_stack}));
    places.push_back({std::move(endpoint), region});
  }
  return places;
}

std::shared_ptr<Backend> MakeBackend(const AwsStoreConfig& config, const std::string& region,
                                     const std::string& endpoint, const Connection& connection) {
  auto client = std::make_shared<RegionClient>(config.service, region, endpoint,
                                               connection.transport, connection.session);
  if (config.service == AwsService::kSecretsManager) {
    return std::make_shared<SecretsManager>(std::move(client));
  }
  return std::make_shared<ParameterStore>(std::move(client));
}

}  // namespace
}  // namespace aws

AwsSurroundings ProcessSurroundings() {
  AwsSurroundings surroundings;
  surroundings.variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  return surroundings;
}

absl::StatusOr<std::shared_ptr<Provider>> MakeAwsProvider(const AwsStoreConfig& description,
                                                          asio::io_context& context,
                                                          const Clock& clock, Scheduler&,
                                                          AwsSurroundings surroundings) {
  SECRETFS_ASSIGN_OR_RETURN(const AwsStoreConfig config, aws::Completed(description, surroundings));
  SECRETFS_ASSIGN_OR_RETURN(std::vector<aws::Sts::Place> places, aws::StsPlaces(config));
  aws::Connection connection;
  connection.transport = std::make_shared<aws::Transport>(context, clock, config.tls);
  connection.http_credentials = std::make_shared<aws::HttpCredentials>(context, clock, config.tls);
  auto sts = std::make_shared<aws::Sts>(std::move(places), connection.transport);
  auto login = std::make_shared<aws::Login>(config, std::move(surroundings), std::move(sts),
                                            connection.http_credentials, clock);
  connection.session = std::make_shared<aws::Session>(context, clock, std::move(login));
  std::shared_ptr<aws::Backend> primary =
      aws::MakeBackend(config, config.region, config.endpoint, connection);
  std::shared_ptr<aws::Backend> failover;
  if (!config.failover_region.empty()) {
    failover =
        aws::MakeBackend(config, config.failover_region, config.failover_endpoint, connection);
  }
  return std::make_shared<aws::AwsProvider>(config, std::move(connection), clock,
                                            std::move(primary), std::move(failover));
}

}  // namespace secretfs::providers
