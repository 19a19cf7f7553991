#pragma once

// Names of secrets as people write them, and as Secret Manager's API takes them.
//
// A key is a secret's own name ("db-password"), or a full resource name
// ("projects/P/secrets/S", "projects/P/locations/L/secrets/S", each perhaps with "/versions/V").
// Secret Manager has no folders: a prefix is the beginning of names ("app-"), and a key may repeat
// the prefix that it was listed under ("app-/app-db"). Pure functions.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/provider.h"

namespace secretfs::providers::gcp {

// Where names without a project belong.
struct Home {
  std::string project;   // may be empty
  std::string location;  // empty: global secrets
};

struct SecretName {
  Home home;
  std::string secret;
  std::string version;  // a number, an alias, or "latest"
  bool version_given = false;
};

// All of a project's secrets whose names begin with `begin`.
struct NamePrefix {
  Home home;
  std::string begin;
};

// InvalidArgument when it is no name, when it has no project, or when it names two versions.
absl::StatusOr<SecretName> ParseKey(const SecretRef& ref, const Home& home);
absl::StatusOr<NamePrefix> ParsePrefix(std::string_view prefix, const Home& home);

// InvalidArgument when project or location could not stand in a URL.
absl::Status CheckHome(const Home& home);

// "projects/P" or "projects/P/locations/L".
std::string ParentPath(const Home& home);
// "projects/P/secrets/S", regional likewise; without the version.
std::string SecretPath(const SecretName& name);

// Whether the API could have given a secret this name.
bool IsSecretId(std::string_view text);
// Whether `text` is a version's number.
bool IsVersionNumber(std::string_view text);

}  // namespace secretfs::providers::gcp
