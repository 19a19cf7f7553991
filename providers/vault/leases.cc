#include "providers/vault/leases.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/vault/authenticator.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

Call LeaseCall(std::string path, SecretJson parameters, const Lease& lease, TokenBytes token,
               MonotonicTime deadline) {
  SetText(parameters, "lease_id", lease.id);
  Call call;
  call.method = "POST";
  call.path = std::move(path);
  call.token = std::move(token);
  call.body = DumpSecretJson(parameters);
  call.deadline = deadline;
  return call;
}

// Vault answers 400 for all of these; its text tells them apart.
absl::Status Refined(const absl::Status& status, std::string_view body) {
  if (!absl::IsInvalidArgument(status)) return status;
  if (HasErrorText(body, "lease not found")) {
    return absl::Status(absl::StatusCode::kNotFound, status.message());
  }
  return absl::Status(absl::StatusCode::kFailedPrecondition, status.message());
}

}  // namespace

asio::awaitable<Outcome<Lease>> RenewLease(std::shared_ptr<Client> client, Lease lease,
                                           TokenBytes token, MonotonicTime deadline) {
  SecretJson parameters = SecretJson::object();
  if (lease.duration.count() > 0) {
    parameters[SecretString("increment")] = static_cast<int64_t>(lease.duration.count());
  }
  Call call =
      LeaseCall("sys/leases/renew", std::move(parameters), lease, std::move(token), deadline);
  const absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(call));
  if (!response.ok()) co_return Outcome<Lease>{response.status()};
  const absl::Status status = client->StatusWithReason(*response, "renewing a lease");
  const std::string_view body = response->body.ExposeAsText();
  if (!status.ok()) co_return Outcome<Lease>{Refined(status, body), SaysInvalidToken(*response)};
  co_return Outcome<Lease>{ParseLease(body)};
}

asio::awaitable<Outcome<bool>> RevokeLease(std::shared_ptr<Client> client, Lease lease,
                                           TokenBytes token, MonotonicTime deadline) {
  // Waits until the engine has undone what it made, so that a success means that the secret is
  // dead.
  SecretJson parameters = SecretJson::object();
  parameters[SecretString("sync")] = true;
  Call call =
      LeaseCall("sys/leases/revoke", std::move(parameters), lease, std::move(token), deadline);
  const absl::StatusOr<HttpResponse> response = co_await client->Send(std::move(call));
  if (!response.ok()) co_return Outcome<bool>{response.status()};
  const absl::Status status = client->StatusWithReason(
      *response, "revoking a lease (the token needs 'update' on sys/leases/revoke)");
  if (!status.ok()) {
    co_return Outcome<bool>{Refined(status, response->body.ExposeAsText()),
                            SaysInvalidToken(*response)};
  }
  co_return Outcome<bool>{true};
}

}  // namespace secretfs::providers::vault
