#pragma once

// As whom a server of root runs. A user of its own: whatever else runs as that user could look into
// the server, so one that other programs share (nobody) is only taken when somebody asks for it.
// Free functions without state.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace secretfs::cli {

struct ServerUser {
  uid_t uid = 0;
  gid_t gid = 0;
  bool made_up = false;  // a number without a name, because there is no user "secretfs"
};

// `wanted` is --server-user: a name, a number or nothing. Nothing for whoever is not root: then it
// runs as them. A made-up one depends on `directory`, so that servers of two mounts hardly ever
// share one.
absl::StatusOr<std::optional<ServerUser>> FindServerUser(const std::string& wanted,
                                                         const std::string& directory);

// A number that nobody has, by `is_taken`; 0 when there is none. From a range that neither
// distributions nor systemd nor containers hand out.
uid_t UnusedUser(const std::string& directory, const std::function<bool(uid_t)>& is_taken);

}  // namespace secretfs::cli
