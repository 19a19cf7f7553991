#pragma once

// The files that AWS's own tools share: ~/.aws/config and ~/.aws/credentials with their profiles.
// Everything read stays in locked memory.
//
// Reads small local files synchronously. Not thread-safe.

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/auth/credential.h"
#include "providers/aws/profiles.h"

namespace secretfs::providers::aws {

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

}  // namespace secretfs::providers::aws
