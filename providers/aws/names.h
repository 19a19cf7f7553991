#pragma once

// How names in AWS become paths. Both services have flat lists of names with slashes in them, and
// many people begin theirs with one: "/app/db". In a tree such a name lies where "app/db" would,
// and reading "app/db" finds it if there is no secret of exactly that name. Pure functions.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "providers/provider.h"

namespace secretfs::providers::aws {

// What lies directly below those `names` that begin with `prefix`, a leading slash aside unless the
// prefix has one. Names with empty components cannot be shown and are left out. The first component
// of each name whose slash was left out goes to `slashed`.
std::vector<ListEntry> EntriesBelow(std::string_view prefix, const std::vector<std::string>& names,
                                    std::set<std::string, std::less<>>& slashed);

// "app" of "app/db".
std::string_view FirstComponent(std::string_view name);

bool IsArn(std::string_view name);

// What a version of a Secrets Manager secret is called in SecretRef: "uuid/ID" or a UUID is an id,
// anything else a stage ("AWSPREVIOUS").
struct VersionSelector {
  std::string id, stage;
};
VersionSelector ParseVersion(std::string_view version);

}  // namespace secretfs::providers::aws
