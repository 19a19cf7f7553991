#include "k8s/manifest/aws_reader.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/tls_reader.h"

namespace secretfs::k8s {
namespace {

using providers::AwsService;
using providers::CredentialSource;

// The credential under our name or External Secrets' name of the same thing.
CredentialSource ReadKey(const Fields& fields, const std::vector<std::string_view>& names,
                         const StoreContext& context, bool required) {
  const auto found = fields.FindOneOf(names, required);
  if (!found) return {};
  return ReadCredential(found->second, context).value_or(CredentialSource{});
}

providers::AwsStaticAuth ReadAccessKey(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"accessKeyID", "accessKeyIDSecretRef", "secretAccessKey",
                              "secretAccessKeySecretRef", "sessionToken", "sessionTokenSecretRef"});
  providers::AwsStaticAuth auth;
  auth.access_key_id = ReadKey(fields, {"accessKeyID", "accessKeyIDSecretRef"}, context, true);
  auth.secret_access_key =
      ReadKey(fields, {"secretAccessKey", "secretAccessKeySecretRef"}, context, true);
  auth.session_token = ReadKey(fields, {"sessionToken", "sessionTokenSecretRef"}, context, false);
  return auth;
}

providers::AwsWebIdentityAuth ReadWebIdentity(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"role", "token", "sessionName"});
  providers::AwsWebIdentityAuth auth;
  auth.role_arn = fields.RequiredString("role");
  if (const auto token = fields.Require("token")) {
    auth.token = ReadCredential(*token, context).value_or(CredentialSource{});
  }
  auth.session_name = fields.String("sessionName");
  return auth;
}

providers::AwsContainerAuth ReadContainer(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"url", "token"});
  providers::AwsContainerAuth auth;
  auth.url = fields.RequiredString("url");
  if (const auto token = fields.Find("token")) {
    auth.token = ReadCredential(*token, context).value_or(CredentialSource{});
  }
  return auth;
}

providers::AwsAuth ReadAwsAuth(const Value& block, const StoreContext& context) {
  const std::vector<std::string_view> methods{"profile",     "accessKey", "secretRef",
                                              "webIdentity", "container", "jwt"};
  const Fields fields(block, methods);
  const auto method = fields.FindOneOf(methods, false);
  if (!method) return providers::AwsDefaultAuth{};
  const auto& [name, value] = *method;
  if (name == "profile") {
    return providers::AwsDefaultAuth{value.AsNonEmptyString().value_or("")};
  }
  if (name == "accessKey" || name == "secretRef") return ReadAccessKey(value, context);
  if (name == "webIdentity") return ReadWebIdentity(value, context);
  if (name == "container") return ReadContainer(value, context);
  value.Problem(
      "asks the cluster for a service account's token, which a mount outside it cannot; expected "
      "webIdentity: {role: ARN, token: {file: PATH}} with a projected token");
  return providers::AwsDefaultAuth{};
}

std::vector<std::string> ReadTexts(const Value& list) {
  std::vector<std::string> texts;
  for (const Value& item : list.Items()) {
    if (auto text = item.AsNonEmptyString()) texts.push_back(*std::move(text));
  }
  return texts;
}

void ReadRoles(const Fields& fields, providers::AwsStoreConfig& aws) {
  aws.role = fields.String("role");
  if (const auto roles = fields.Find("additionalRoles")) aws.additional_roles = ReadTexts(*roles);
  aws.external_id = fields.String("externalID");
  if (const auto tags = fields.Find("sessionTags")) {
    for (const Value& tag : tags->Items()) {
      const Fields pair(tag, {"key", "value"});
      std::string key = pair.RequiredString("key");
      aws.session_tags.emplace_back(std::move(key), pair.String("value"));
    }
  }
  if (const auto keys = fields.Find("transitiveTagKeys")) {
    aws.transitive_tag_keys = ReadTexts(*keys);
  }
  const bool options =
      !aws.external_id.empty() || !aws.session_tags.empty() || !aws.transitive_tag_keys.empty();
  if (options && aws.role.empty()) {
    fields.value().Problem(
        "has externalID, sessionTags or transitiveTagKeys, but no role that they go with");
  }
}

bool ReadFlag(const Fields& fields, std::string_view name) {
  const auto flag = fields.Find(name);
  return flag && flag->AsBool().value_or(false);
}

}  // namespace

providers::AwsStoreConfig ReadAws(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"service", "region", "role", "additionalRoles", "externalID",
                              "sessionTags", "transitiveTagKeys", "prefix", "auth",
                              "secretsManager", "endpoint", "failoverEndpoint", "failoverRegion",
                              "stsEndpoint", "fips", "dualStack", "tls", "caBundle", "caProvider"});
  providers::AwsStoreConfig aws;
  if (const auto service = fields.Require("service")) {
    aws.service = service
                      ->AsEnum<AwsService>({{"SecretsManager", AwsService::kSecretsManager},
                                            {"ParameterStore", AwsService::kParameterStore}})
                      .value_or(aws.service);
  }
  aws.region = fields.String("region");
  aws.failover_region = fields.String("failoverRegion");
  aws.prefix = fields.String("prefix");
  ReadRoles(fields, aws);
  aws.endpoint = ReadAddress(fields, "endpoint");
  aws.failover_endpoint = ReadAddress(fields, "failoverEndpoint");
  aws.sts_endpoint = ReadAddress(fields, "stsEndpoint");
  aws.fips = ReadFlag(fields, "fips");
  aws.dual_stack = ReadFlag(fields, "dualStack");
  aws.tls = ReadTlsOf(fields, context);
  if (const auto auth = fields.Find("auth")) aws.auth = ReadAwsAuth(*auth, context);
  if (const auto deletion = fields.Find("secretsManager")) {
    deletion->Warn("has no effect: secretfs deletes no secrets");
  }
  if (!aws.failover_region.empty() && aws.failover_region == aws.region) {
    block.Problem("has the same failoverRegion as region; expected another one");
  }
  return aws;
}

}  // namespace secretfs::k8s
