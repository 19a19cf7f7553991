#include "providers/aws/shared_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::aws {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// A comment after a value begins with a space.
std::string_view WithoutComment(std::string_view value) {
  for (const std::string_view mark : {" #", " ;", "\t#", "\t;"}) {
    value = value.substr(0, value.find(mark));
  }
  return Trim(value);
}

// The profile that "[…]" begins; nothing for sections of other things.
std::optional<std::string> SectionName(std::string_view line, SharedFileKind kind) {
  const size_t end = line.find(']');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view name = Trim(line.substr(1, end - 1));
  if (kind == SharedFileKind::kConfig && name != "default") {
    constexpr std::string_view kPrefix = "profile";
    if (!name.starts_with(kPrefix)) return std::nullopt;
    name.remove_prefix(kPrefix.size());
    if (name.empty() || kSpace.find(name.front()) == std::string_view::npos) return std::nullopt;
    name = Trim(name);
  }
  if (name.size() >= 2 && (name.front() == '"' || name.front() == '\'') &&
      name.back() == name.front()) {
    name = name.substr(1, name.size() - 2);
  }
  if (name.empty()) return std::nullopt;
  return std::string(name);
}

SecretString LowerCase(std::string_view text) {
  SecretString lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

CredentialSource FileSource(const std::string& path) {
  CredentialSource source;
  source.file = path;
  return source;
}

}  // namespace

Profiles ParseProfiles(std::string_view text, SharedFileKind kind) {
  Profiles profiles;
  Profile* profile = nullptr;  // null: nothing of interest
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view content = Trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    if (line.front() == '[') {
      const std::optional<std::string> name = SectionName(content, kind);
      profile = name.has_value() ? &profiles[*name] : nullptr;
      continue;
    }
    const bool continues = line.front() == ' ' || line.front() == '\t';
    const size_t equals = content.find('=');
    if (profile == nullptr || continues || equals == std::string_view::npos) continue;
    const std::string_view key = Trim(content.substr(0, equals));
    if (key.empty()) continue;
    profile->insert_or_assign(LowerCase(key),
                              SecretString(WithoutComment(content.substr(equals + 1))));
  }
  return profiles;
}

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

std::string_view ValueOf(const Profile& profile, std::string_view key) {
  const auto found = profile.find(key);
  return found == profile.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace secretfs::providers::aws
