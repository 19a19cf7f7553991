#include "cli/stores/aws_store.h"

#include <utility>
#include <variant>
#include <vector>

#include "providers/aws/aws_provider.h"
#include "providers/aws/login.h"

namespace secretfs::cli {
namespace {

using providers::AwsStoreConfig;

struct PathsOfAwsAuth {
  const PathVisitor& visit;
  void operator()(providers::AwsDefaultAuth&) const {}
  void operator()(providers::AwsStaticAuth& auth) const {
    VisitPaths(auth.access_key_id, visit);
    VisitPaths(auth.secret_access_key, visit);
    VisitPaths(auth.session_token, visit);
  }
  void operator()(providers::AwsWebIdentityAuth& auth) const { VisitPaths(auth.token, visit); }
  void operator()(providers::AwsContainerAuth& auth) const { VisitPaths(auth.token, visit); }
};

struct IdentityOfAwsAuth {
  std::string operator()(const providers::AwsDefaultAuth& auth) const {
    return JoinParts({"default", auth.profile});
  }
  std::string operator()(const providers::AwsStaticAuth& auth) const {
    return JoinParts({"key", Describe(auth.access_key_id), Describe(auth.secret_access_key),
                      Describe(auth.session_token)});
  }
  std::string operator()(const providers::AwsWebIdentityAuth& auth) const {
    return JoinParts({"web", auth.role_arn, Describe(auth.token), auth.session_name});
  }
  std::string operator()(const providers::AwsContainerAuth& auth) const {
    return JoinParts({"container", auth.url, Describe(auth.token)});
  }
};

std::string RolesOf(const AwsStoreConfig& config) {
  std::vector<std::string> tags;
  for (const auto& [key, value] : config.session_tags) tags.insert(tags.end(), {key, value});
  return JoinParts({JoinParts(config.additional_roles), config.role, config.external_id,
                    JoinParts(tags), JoinParts(config.transitive_tag_keys)});
}

std::string FailoverOf(const AwsStoreConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, other] : config.failover_names) {
    names.insert(names.end(), {name.key, name.version, other.key, other.version});
  }
  return JoinParts({config.failover_region, config.failover_endpoint, JoinParts(names)});
}

}  // namespace

void VisitPaths(AwsStoreConfig& config, const PathVisitor& visit) {
  VisitPaths(config.tls, visit);
  std::visit(PathsOfAwsAuth{visit}, config.auth);
}

std::string IdentityOf(const AwsStoreConfig& config) {
  return JoinParts({"aws", std::to_string(static_cast<int>(config.service)), config.region,
                    config.prefix, config.endpoint, config.sts_endpoint, config.fips ? "fips" : "",
                    config.dual_stack ? "dual stack" : "", RolesOf(config), FailoverOf(config),
                    Describe(config.tls), std::visit(IdentityOfAwsAuth(), config.auth)});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const AwsStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return providers::MakeAwsProvider(config, io.context(), clock, io.scheduler());
}

std::vector<std::string> FilesOf(const AwsStoreConfig& config, const Environment& environment) {
  AwsStoreConfig whole = config;
  std::vector<std::string> files = PathsOf(whole);
  providers::AwsSurroundings surroundings;
  surroundings.variable = environment;
  for (std::string& path : providers::aws::AmbientFiles(config, surroundings)) {
    files.push_back(std::move(path));
  }
  return files;
}

}  // namespace secretfs::cli
