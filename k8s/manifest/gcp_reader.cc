#include "k8s/manifest/gcp_reader.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/tls_reader.h"

namespace secretfs::k8s {
namespace {

using providers::CredentialSource;
using providers::GcpVersionSelection;

CredentialSource CredentialOf(const Fields& fields, std::string_view name,
                              const StoreContext& context) {
  const auto value = fields.Find(name);
  if (!value) return {};
  return ReadCredential(*value, context).value_or(CredentialSource{});
}

// External Secrets names the service account whose token it would ask the cluster for.
void WarnOfReference(const Fields& fields, bool has_token) {
  const auto reference = fields.Find("serviceAccountRef");
  if (!reference) return;
  reference->Warn(has_token ? "has no effect: the token is taken from where 'token' says"
                            : "has no effect: a mount uses the identity of its own pod, as the "
                              "metadata server gives it (or give token: {file: PATH})");
}

providers::GcpAuth ReadSecretRef(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"secretAccessKeySecretRef"});
  providers::GcpSecretRefAuth auth;
  if (const auto key = fields.Require("secretAccessKeySecretRef")) {
    auth.secret_access_key = ReadCredential(*key, context).value_or(CredentialSource{});
  }
  return auth;
}

providers::GcpAuth ReadWorkloadIdentity(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"serviceAccountRef", "clusterLocation", "clusterName",
                              "clusterProjectID", "token", "serviceAccount"});
  providers::GcpWorkloadIdentityAuth auth;
  auth.cluster_location = fields.String("clusterLocation");
  auth.cluster_name = fields.String("clusterName");
  auth.cluster_project_id = fields.String("clusterProjectID");
  auth.token = CredentialOf(fields, "token", context);
  auth.service_account = fields.String("serviceAccount");
  WarnOfReference(fields, !auth.token.empty());
  if (const auto account = fields.Find("serviceAccount"); account && auth.token.empty()) {
    account->Problem(
        "needs a token beside it: the metadata server gives out its own service account's only");
  }
  return auth;
}

CredentialSource ReadCredConfig(const Value& value, const StoreContext& context) {
  const Fields fields(value, {"file", "name", "key", "namespace"});
  const auto kind = fields.FindOneOf({"file", "name"}, true);
  CredentialSource source;
  if (!kind) return source;
  if (kind->first == "file") {
    source.file = ReadPath(fields, "file");
    return source;
  }
  const std::string name = fields.RequiredString("name"), key = fields.RequiredString("key");
  if (name.empty() || key.empty()) return source;
  const std::string own_namespace = fields.String("namespace");
  source.inline_value = context.resources->Find(
      ResourceIndex::Kind::kConfigMap, own_namespace.empty() ? context.name_space : own_namespace,
      name, key, value);
  return source;
}

providers::GcpAuth ReadFederation(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"credConfig", "serviceAccountRef", "awsSecurityCredentials",
                              "audience", "externalTokenEndpoint", "token", "serviceAccount"});
  providers::GcpWorkloadIdentityFederationAuth auth;
  auth.audience = fields.String("audience");
  auth.external_token_endpoint = fields.String("externalTokenEndpoint");
  auth.service_account = fields.String("serviceAccount");
  const auto source = fields.FindOneOf(
      {"credConfig", "token", "serviceAccountRef", "awsSecurityCredentials"}, true);
  if (!source) return auth;
  const auto& [name, value] = *source;
  if (name == "credConfig") {
    auth.cred_config = ReadCredConfig(value, context);
  } else if (name == "token") {
    auth.token = ReadCredential(value, context).value_or(CredentialSource{});
    if (auth.audience.empty()) block.Problem("has a token but no audience that it is traded for");
  } else if (name == "serviceAccountRef") {
    value.Problem(
        "asks the cluster for a token, which a mount outside it cannot; expected token: {file: "
        "PATH} with a projected service account token");
  } else {
    value.Problem("AWS credentials are not built into this version; expected credConfig or token");
  }
  return auth;
}

providers::GcpAuth ReadGcpAuth(const Value& block, const StoreContext& context) {
  const Fields fields(
      block, {"secretRef", "workloadIdentity", "workloadIdentityFederation", "credentials"});
  const auto method = fields.FindOneOf(
      {"secretRef", "workloadIdentity", "workloadIdentityFederation", "credentials"}, false);
  if (!method) return providers::GcpDefaultAuth{};
  const auto& [name, value] = *method;
  if (name == "secretRef") return ReadSecretRef(value, context);
  if (name == "workloadIdentity") return ReadWorkloadIdentity(value, context);
  if (name == "workloadIdentityFederation") return ReadFederation(value, context);
  return providers::GcpSecretRefAuth{ReadCredential(value, context).value_or(CredentialSource{})};
}

}  // namespace

providers::GcpStoreConfig ReadGcp(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"projectID", "location", "secretVersionSelectionPolicy", "auth",
                              "quotaProject", "endpoint", "tls", "caBundle", "caProvider"});
  providers::GcpStoreConfig gcp;
  gcp.project_id = fields.RequiredString("projectID");
  gcp.location = fields.String("location");
  if (const auto policy = fields.Find("secretVersionSelectionPolicy")) {
    gcp.secret_version_selection_policy =
        policy
            ->AsEnum<GcpVersionSelection>({{"LatestOrFail", GcpVersionSelection::kLatestOrFail},
                                           {"LatestOrFetch", GcpVersionSelection::kLatestOrFetch}})
            .value_or(GcpVersionSelection::kLatestOrFail);
  }
  if (const auto auth = fields.Find("auth")) gcp.auth = ReadGcpAuth(*auth, context);
  gcp.quota_project = fields.String("quotaProject");
  gcp.endpoints.secret_manager = ReadAddress(fields, "endpoint");
  gcp.tls = ReadTlsOf(fields, context);
  return gcp;
}

}  // namespace secretfs::k8s
