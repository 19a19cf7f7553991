#pragma once

// What a Key Vault says in the WWW-Authenticate header of a 401: for which resource it wants a
// token and in which tenant it lives. The resource is to be believed only when it is the vault's
// own domain, so that a vault cannot ask for tokens that open something else. Pure functions.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace secretfs::providers::azure {

struct Challenge {
  std::string tenant;    // empty: not named
  std::string resource;  // without a slash or "/.default" at its end
};

// Unauthenticated when the header is no Bearer challenge with a resource or scope.
absl::StatusOr<Challenge> ParseChallenge(std::string_view header);

// Whether the host of a vault ("team.vault.azure.net") lies below the resource's.
bool ResourceFitsHost(std::string_view resource, std::string_view host);

// A tenant's id or domain name: letters, digits, '-' and '.'.
bool IsTenant(std::string_view text);

}  // namespace secretfs::providers::azure
