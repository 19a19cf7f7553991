#pragma once

// The files that AWS's own tools share: ~/.aws/config and ~/.aws/credentials with their profiles.
// Everything read stays in locked memory.
//
// ParseProfiles is pure. SharedFiles reads small local files synchronously; not thread-safe.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::aws {

using Profile = std::map<SecretString, SecretString, std::less<>>;
using Profiles = std::map<std::string, Profile, std::less<>>;

enum class SharedFileKind { kConfig, kCredentials };

// The sections by profile name ("profile NAME" in a config file). Keys in lower case. Lines that
// AWS's tools would not take are skipped, as are nested settings (indented below a key) and
// sections of other things (sso-session, services).
Profiles ParseProfiles(std::string_view text, SharedFileKind kind);

class SharedFiles {
 public:
  SharedFiles(std::string config_path, std::string credentials_path);

  // The profile as both files have it together, credentials first; nothing when neither has it.
  // FailedPrecondition when a file is there but cannot be read.
  absl::StatusOr<std::optional<Profile>> Read(std::string_view name);
  // A file is not what Read last saw.
  bool Changed() const;

  const std::string& config_path() const { return config_path_; }
  const std::string& credentials_path() const { return credentials_path_; }

 private:
  absl::Status Merge(Credential& file, const std::string& path, SharedFileKind kind,
                     std::string_view name, std::optional<Profile>& profile);

  std::string config_path_, credentials_path_;
  Credential config_, credentials_;
};

// "" when there is none.
std::string_view ValueOf(const Profile& profile, std::string_view key);

}  // namespace secretfs::providers::aws
