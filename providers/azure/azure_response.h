#pragma once

// The documents of Key Vault, Entra and the metadata services, parsed strictly: a document that is
// not what the API promises is an error (Unavailable: what answers is broken or no vault), never a
// crash and never a guess. Pure functions; no content is quoted in errors.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/azure/azure_key.h"
#include "providers/provider.h"

namespace secretfs::providers::azure {

// GET of a secret, certificate or key, in the form that `key` wants. The version is the vault's
// identifier. InvalidArgument when it does not have that form.
absl::StatusOr<Secret> ParseObject(std::string_view body, const ObjectKey& key);

// One page of a list of objects.
struct NamePage {
  std::vector<ListEntry> entries;  // without those that are disabled
  std::string next_link;           // as the vault writes it; empty: the last page
};
absl::StatusOr<NamePage> ParseNames(std::string_view body, Kind kind);

// One page of an object's versions, without those that are disabled.
struct ObjectVersion {
  std::string version;
  int64_t created = 0;  // seconds since 1970
};
struct VersionPage {
  std::vector<ObjectVersion> versions;
  std::string next_link;
};
absl::StatusOr<VersionPage> ParseVersions(std::string_view body, Kind kind);

// The codes of an error answer, which say more than its status ("Forbidden" and
// "ForbiddenByFirewall"); only letters and digits. Empty if there are none.
struct VaultError {
  std::string code;
  std::string inner_code;
};
VaultError ParseVaultError(std::string_view body);

struct AccessToken {
  SecretBytes token;
  std::chrono::seconds lives{0};
  // When to ask for another; not set: the service says nothing about it.
  std::optional<std::chrono::seconds> refresh_in;
};
// Of Entra or a metadata service; `now` for those that say when a token ends, not how long it
// lives.
absl::StatusOr<AccessToken> ParseAccessToken(std::string_view body, WallTime now);

// The refusal of a login.
struct LoginError {
  std::string error;   // "invalid_client": OAuth's word
  int64_t number = 0;  // of the AADSTS code; 0: none
};
LoginError ParseLoginError(std::string_view body);

}  // namespace secretfs::providers::azure
