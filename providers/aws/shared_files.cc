#include "providers/aws/shared_files.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

CredentialSource FileSource(const std::string& path) {
  CredentialSource source;
  source.file = path;
  return source;
}

}  // namespace

SharedFiles::SharedFiles(std::string config_path, std::string credentials_path)
    : config_path_(std::move(config_path)),
      credentials_path_(std::move(credentials_path)),
      config_(FileSource(config_path_), "AWS config"),
      credentials_(FileSource(credentials_path_), "AWS credentials") {}

absl::StatusOr<std::optional<Profile>> SharedFiles::Read(std::string_view name) {
  std::optional<Profile> profile;
  SECRETFS_RETURN_IF_ERROR(Merge(config_, config_path_, SharedFileKind::kConfig, name, profile));
  SECRETFS_RETURN_IF_ERROR(
      Merge(credentials_, credentials_path_, SharedFileKind::kCredentials, name, profile));
  return profile;
}

absl::Status SharedFiles::Merge(Credential& file, const std::string& path, SharedFileKind kind,
                                std::string_view name, std::optional<Profile>& profile) {
  // Neither file is needed; what is there but cannot be looked at is for Read below to say.
  struct stat status = {};
  if (path.empty()) return absl::OkStatus();
  const bool there = ::stat(path.c_str(), &status) == 0;
  if (there ? status.st_size == 0 : errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes text, file.Read());
  Profiles profiles = ParseProfiles(text.ExposeAsText(), kind);
  const auto found = profiles.find(name);
  if (found == profiles.end()) return absl::OkStatus();
  if (!profile.has_value()) profile.emplace();
  for (auto& [key, value] : found->second) profile->insert_or_assign(key, std::move(value));
  return absl::OkStatus();
}

bool SharedFiles::Changed() const { return config_.Changed() || credentials_.Changed(); }

}  // namespace secretfs::providers::aws
