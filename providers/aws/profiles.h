#pragma once

// The text of the files that AWS's own tools share, by profile. Everything stays in locked memory.
// Pure functions.

#include <map>
#include <string>
#include <string_view>

#include "base/secret_bytes.h"

namespace secretfs::providers::aws {

using Profile = std::map<SecretString, SecretString, std::less<>>;
using Profiles = std::map<std::string, Profile, std::less<>>;

enum class SharedFileKind { kConfig, kCredentials };

// The sections by profile name ("profile NAME" in a config file). Keys in lower case. Lines that
// AWS's tools would not take are skipped, as are nested settings (indented below a key) and
// sections of other things (sso-session, services).
Profiles ParseProfiles(std::string_view text, SharedFileKind kind);

// "" when there is none.
std::string_view ValueOf(const Profile& profile, std::string_view key);

}  // namespace secretfs::providers::aws
