#pragma once

// Vault's response documents, parsed strictly: a document that is not what the API promises is an
// error (Unavailable: the thing that answers is broken or no Vault), never a crash and never a
// guess. Pure functions; no content is quoted in errors.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/provider.h"
#include "providers/vault/vault_key.h"

namespace secretfs::providers::vault {

// GET of a secret in a KV version 2 engine. The version is "NUMBER@CREATED": numbers start again
// when somebody deletes a secret with all its history and writes it anew.
absl::StatusOr<Secret> ParseVersionedSecret(std::string_view body, WallTime now);

// GET of anything else: the fields of `data`, with the lease if there is one.
absl::StatusOr<Secret> ParsePlainSecret(std::string_view body);

// A body that is no JSON document (for example PEM of the PKI engine), as it is.
Secret RawSecret(SecretBytes body);

// The 404 of a KV version 2 engine for a version that existed.
struct DeletedVersion {
  int64_t number = 0;
  std::string deleted_at;  // as Vault writes it
  bool destroyed = false;
};
std::optional<DeletedVersion> ParseDeletedVersion(std::string_view body);

// The names of a LIST; "name" and "name/" become one entry.
absl::StatusOr<std::vector<ListEntry>> ParseList(std::string_view body);

// sys/internal/ui/mounts/PATH.
absl::StatusOr<Mount> ParseMount(std::string_view body);
// sys/internal/ui/mounts: the secret engines that the token may see.
absl::StatusOr<std::vector<Mount>> ParseMounts(std::string_view body);

// The answer to a login or a renewal of a token.
struct TokenGrant {
  SecretBytes token;
  std::chrono::seconds duration{0};  // 0: does not end
  bool renewable = false;
};
absl::StatusOr<TokenGrant> ParseTokenGrant(std::string_view body);
// The answer to auth/token/lookup-self; `token` stays empty.
absl::StatusOr<TokenGrant> ParseTokenLookup(std::string_view body);

// The answer to sys/leases/renew.
absl::StatusOr<Lease> ParseLease(std::string_view body);

// One text field of `data`, as sys/wrapping/unwrap returns it.
absl::StatusOr<SecretBytes> ParseDataField(std::string_view body, std::string_view field);

// Vault's own error texts on one line, made safe to print and cut to 200 characters; empty if there
// are none. Only for answers that cannot hold a secret: those to logins and to configuration.
std::string ErrorTexts(std::string_view body);
// Whether one of the error texts contains `text`.
bool HasErrorText(std::string_view body, std::string_view text);

}  // namespace secretfs::providers::vault
