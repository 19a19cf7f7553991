#include "providers/vault/authenticator.h"

#include <utility>
#include <variant>

#include "base/status.h"
#include "base/text.h"
#include "providers/vault/vault_key.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

// "auth/kubernetes/", "kubernetes" and "/kubernetes" mean the same.
std::string MethodPath(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  while (path.starts_with('/')) path.remove_prefix(1);
  if (path.starts_with("auth/")) path.remove_prefix(5);
  return std::string(path);
}

absl::Status CheckPathAndRole(std::string_view method, std::string_view path,
                              std::string_view role) {
  if (path.empty()) {
    return absl::InvalidArgumentError(Format("the {} auth method's path is empty", method));
  }
  if (role.empty()) {
    return absl::InvalidArgumentError(Format("the {} auth method needs a role", method));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> MakeAuthenticator(const VaultAuth& config,
                                                                 std::shared_ptr<Client> client) {
  if (const auto* token = std::get_if<VaultTokenAuth>(&config)) {
    if (token->token.empty()) {
      return absl::InvalidArgumentError(
          "token authentication needs a token: a file, an environment variable or a value");
    }
    return MakeTokenAuthenticator(*token);
  }
  if (const auto* app_role = std::get_if<VaultAppRoleAuth>(&config)) {
    VaultAppRoleAuth normal = *app_role;
    normal.path = MethodPath(normal.path);
    const std::string_view role =
        normal.role_ref.empty() ? std::string_view(normal.role_id) : "given by reference";
    SECRETFS_RETURN_IF_ERROR(CheckPathAndRole("AppRole", normal.path, role));
    if (normal.secret_id.empty() && normal.secret_id_is_wrapped) {
      return absl::InvalidArgumentError("a response-wrapped secret id is announced but not given");
    }
    return MakeAppRoleAuthenticator(normal, std::move(client));
  }
  if (const auto* jwt = std::get_if<VaultJwtAuth>(&config)) {
    VaultJwtAuth normal = *jwt;
    normal.path = MethodPath(normal.path);
    // A JWT auth mount may have a default role, so the role may be empty.
    SECRETFS_RETURN_IF_ERROR(CheckPathAndRole("JWT", normal.path, "default"));
    if (normal.jwt.empty()) return absl::InvalidArgumentError("the JWT auth method needs a JWT");
    return MakeJwtAuthenticator(normal, std::move(client));
  }
  VaultKubernetesAuth normal = std::get<VaultKubernetesAuth>(config);
  normal.mount_path = MethodPath(normal.mount_path);
  SECRETFS_RETURN_IF_ERROR(CheckPathAndRole("Kubernetes", normal.mount_path, normal.role));
  return MakeKubernetesAuthenticator(normal, std::move(client));
}

asio::awaitable<absl::StatusOr<Login>> PostLogin(std::shared_ptr<Client> client, std::string path,
                                                 SecretBytes parameters, MonotonicTime deadline) {
  const std::string login_path = Format("auth/{}/login", path);
  Call call;
  call.method = "POST";
  call.path = EncodePath(login_path);
  call.body = std::move(parameters);
  call.deadline = deadline;
  const absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(call));
  if (!response.ok()) co_return response.status();
  const absl::Status status =
      client->StatusWithReason(*response, Format("logging in at {}", login_path));
  if (!status.ok()) {
    if (IsTransient(status)) co_return status;
    // Vault answers 400 for a wrong secret id, 403 for a wrong JWT, 404 for a wrong path: all of
    // them mean that this identity is not accepted.
    co_return absl::Status(absl::StatusCode::kUnauthenticated, status.message());
  }
  absl::StatusOr<TokenGrant> grant = ParseTokenGrant(response->body.ExposeAsText());
  if (!grant.ok()) {
    co_return WithContext(grant.status(),
                          Format("Vault at {}, logging in at {}", client->address(), login_path));
  }
  co_return Login{std::move(grant->token), grant->duration, grant->renewable};
}

void SetText(SecretJson& object, std::string_view name, std::string_view value) {
  object[SecretString(name)] = SecretString(value);
}

}  // namespace secretfs::providers::vault
