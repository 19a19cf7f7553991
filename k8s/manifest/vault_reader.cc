#include "k8s/manifest/vault_reader.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/tls_reader.h"

namespace secretfs::k8s {
namespace {

using providers::CredentialSource;

constexpr std::string_view kTokenOfPod = "/var/run/secrets/kubernetes.io/serviceaccount/token";

// The credential under the first of `names` that is given: our name and External Secrets' name of
// the same thing.
std::optional<CredentialSource> ReadCredentialOf(const Fields& fields,
                                                 const std::vector<std::string_view>& names,
                                                 const StoreContext& context, bool required) {
  const auto found = fields.FindOneOf(names, required);
  if (!found) return std::nullopt;
  return ReadCredential(found->second, context);
}

std::string PathOr(const Fields& fields, std::string_view name, std::string default_path) {
  std::string path = fields.String(name);
  while (path.ends_with('/')) path.pop_back();
  while (path.starts_with('/')) path.erase(0, 1);
  return path.empty() ? default_path : path;
}

providers::VaultAuth ReadAppRole(const Value& block, const StoreContext& context) {
  const Fields fields(block,
                      {"path", "roleId", "roleRef", "secretId", "secretRef", "secretIdIsWrapped"});
  providers::VaultAppRoleAuth auth;
  auth.path = PathOr(fields, "path", auth.path);
  if (const auto role = fields.FindOneOf({"roleId", "roleRef"}, true)) {
    if (role->first == "roleId") {
      auth.role_id = role->second.AsNonEmptyString().value_or("");
    } else {
      auth.role_ref = ReadCredential(role->second, context).value_or(CredentialSource{});
    }
  }
  auth.secret_id = ReadCredentialOf(fields, {"secretId", "secretRef"}, context, true)
                       .value_or(CredentialSource{});
  if (const auto wrapped = fields.Find("secretIdIsWrapped")) {
    auth.secret_id_is_wrapped = wrapped->AsBool().value_or(false);
  }
  return auth;
}

providers::VaultAuth ReadJwt(const Value& block, const StoreContext& context) {
  const Fields fields(block,
                      {"path", "role", "token", "secretRef", "kubernetesServiceAccountToken"});
  providers::VaultJwtAuth auth;
  auth.path = PathOr(fields, "path", auth.path);
  auth.role = fields.String("role");
  const auto source =
      fields.FindOneOf({"token", "secretRef", "kubernetesServiceAccountToken"}, true);
  if (!source) return auth;
  if (source->first == "kubernetesServiceAccountToken") {
    source->second.Problem(
        "asks the cluster for a token, which a mount outside it cannot; expected token: {file: "
        "PATH} "
        "with a projected service account token");
    return auth;
  }
  auth.jwt = ReadCredential(source->second, context).value_or(CredentialSource{});
  return auth;
}

providers::VaultAuth ReadKubernetes(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"mountPath", "role", "token", "secretRef", "serviceAccountRef"});
  providers::VaultKubernetesAuth auth;
  auth.mount_path = PathOr(fields, "mountPath", auth.mount_path);
  auth.role = fields.RequiredString("role");
  const auto source = fields.FindOneOf({"token", "secretRef", "serviceAccountRef"}, false);
  if (!source) return auth;
  if (source->first == "serviceAccountRef") {
    source->second.Warn(Format("has no effect: the token in {} is used", kTokenOfPod));
    return auth;
  }
  auth.jwt = ReadCredential(source->second, context).value_or(CredentialSource{});
  return auth;
}

providers::VaultAuth ReadVaultAuth(const Value& block, const StoreContext& context,
                                   const std::string& name_space) {
  static const std::vector<std::string_view> kLater{"cert", "ldap", "userPass", "iam", "gcp"};
  std::vector<std::string_view> methods{"token", "tokenSecretRef", "appRole", "jwt", "kubernetes"};
  methods.insert(methods.end(), kLater.begin(), kLater.end());
  std::vector<std::string_view> known = methods;
  known.push_back("namespace");
  const Fields fields(block, std::move(known));
  if (const auto login_namespace = fields.Find("namespace")) {
    if (login_namespace->AsString().value_or("") != name_space) {
      login_namespace->Problem(
          "logging in to another namespace than the store's is not built into this version; "
          "expected "
          "the same as the store's namespace");
    }
  }
  const auto method = fields.FindOneOf(methods, true);
  if (!method) return providers::VaultTokenAuth{};
  const auto& [name, value] = *method;
  if (name == "token" || name == "tokenSecretRef") {
    return providers::VaultTokenAuth{ReadCredential(value, context).value_or(CredentialSource{})};
  }
  if (name == "appRole") return ReadAppRole(value, context);
  if (name == "jwt") return ReadJwt(value, context);
  if (name == "kubernetes") return ReadKubernetes(value, context);
  value.Problem(
      "this way to log in is not built into this version; expected token, appRole, jwt or "
      "kubernetes");
  return providers::VaultTokenAuth{};
}

void ReadHeaders(const Value& block, std::map<std::string, std::string>& headers) {
  for (const auto& [name, value] : block.Entries()) {
    const std::optional<std::string> text = value.AsString();
    if (!text) continue;
    const bool bad_name = name.empty() || name.find_first_of(": \t\r\n") != std::string::npos;
    if (bad_name || text->find_first_of("\r\n") != std::string::npos) {
      value.Problem(
          "is no HTTP header; expected a name without ':' or spaces and a value of one line");
      continue;
    }
    headers[name] = *text;
  }
}

}  // namespace

providers::VaultStoreConfig ReadVault(const Value& block, const StoreContext& context) {
  const Fields fields(
      block, {"server", "path", "version", "namespace", "caBundle", "caProvider", "tls", "headers",
              "auth", "readYourWrites", "forwardInconsistent", "checkAndSet"});
  providers::VaultStoreConfig vault;
  if (const auto server = fields.Find("server")) {
    vault.server = server->AsNonEmptyString().value_or("");
    CheckServer(*server, vault.server);
  }
  vault.path = PathOr(fields, "path", "");
  if (const auto version = fields.Find("version")) {
    const std::vector<std::string_view> versions{"v1", "v2"};
    if (const auto index = version->AsOneOf(versions)) vault.version = versions[*index];
  }
  vault.name_space = fields.String("namespace");
  if (const auto headers = fields.Find("headers")) ReadHeaders(*headers, vault.headers);
  vault.tls = ReadTlsOf(fields, context);
  if (const auto auth = fields.Find("auth")) {
    vault.auth = ReadVaultAuth(*auth, context, vault.name_space);
  }
  return vault;
}

void CheckServer(const Value& value, const std::string& server) {
  if (server.empty() || server.starts_with("https://") || server.starts_with("http://")) return;
  value.Problem(Format("{} is no address; expected https://HOST:PORT", Quote(server)));
}

}  // namespace secretfs::k8s
