#include "providers/gcp/gcp_key.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::gcp {
namespace {

constexpr size_t kLongestSecretId = 255;
constexpr size_t kLongestAlias = 63;
constexpr size_t kLongestNumber = 18;  // of digits: what int64_t holds

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameCharacter(char c) { return IsLetter(c) || IsDigit(c) || c == '-' || c == '_'; }

// "example.com:project" is one of the old, domain-scoped ones.
bool IsProject(std::string_view text) {
  return !text.empty() && text.size() <= 100 && IsNameCharacter(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsNameCharacter(c) || c == '.' || c == ':'; });
}

bool IsLocation(std::string_view text) {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || IsDigit(c) || c == '-';
  });
}

bool IsVersion(std::string_view text) {
  if (IsVersionNumber(text)) return true;
  return !text.empty() && text.size() <= kLongestAlias && IsLetter(text.front()) &&
         std::all_of(text.begin(), text.end(), IsNameCharacter);
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Takes "projects/P/[locations/L/]secrets" off the front of `parts`, when it is there.
absl::StatusOr<Home> TakeHome(std::vector<std::string_view>& parts, const Home& home,
                              std::string_view text) {
  if (parts.size() < 2 || parts[0] != "projects") return home;
  Home own{std::string(parts[1]), ""};
  size_t used = 2;
  if (parts.size() >= 4 && parts[2] == "locations") {
    own.location = parts[3];
    used = 4;
  }
  if (parts.size() <= used || parts[used] != "secrets") {
    return absl::InvalidArgumentError(
        Format("'{}' is no resource name of Secret Manager; expected projects/PROJECT/secrets/NAME "
               "or projects/PROJECT/locations/LOCATION/secrets/NAME",
               text));
  }
  SECRETFS_RETURN_IF_ERROR(CheckHome(own));
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(used) + 1);
  return own;
}

absl::Status NoProject(std::string_view text) {
  return absl::InvalidArgumentError(
      Format("'{}' names no project, and the store has no projectID; expected "
             "projects/PROJECT/secrets/NAME",
             text));
}

}  // namespace

absl::Status CheckHome(const Home& home) {
  if (!home.project.empty() && !IsProject(home.project)) {
    return absl::InvalidArgumentError(
        Format("'{}' is no Google Cloud project; expected its id or number", home.project));
  }
  if (!home.location.empty() && !IsLocation(home.location)) {
    return absl::InvalidArgumentError(
        Format("'{}' is no location; expected a region such as europe-west3", home.location));
  }
  return absl::OkStatus();
}

absl::StatusOr<SecretName> ParseKey(const SecretRef& ref, const Home& home) {
  std::vector<std::string_view> parts = Split(ref.key);
  SecretName name;
  SECRETFS_ASSIGN_OR_RETURN(name.home, TakeHome(parts, home, ref.key));
  std::string version = ref.version;
  if (parts.size() == 3 && parts[1] == "versions") {
    if (!version.empty() && version != parts[2]) {
      return absl::InvalidArgumentError(
          Format("the key '{}' names another version than '{}'", ref.key, version));
    }
    version = parts[2];
    if (!version.empty()) parts.resize(1);
  } else if (parts.size() == 2 && !parts[0].empty() && parts[1].starts_with(parts[0])) {
    parts.erase(parts.begin());  // the prefix that it was listed under
  }
  if (parts.size() != 1 || !IsSecretId(parts[0])) {
    return absl::InvalidArgumentError(
        Format("'{}' is no secret of Secret Manager; expected a name of letters, digits, '-' and "
               "'_', or projects/PROJECT/secrets/NAME",
               ref.key));
  }
  if (name.home.project.empty()) return NoProject(ref.key);
  name.secret = parts[0];
  name.version_given = !version.empty();
  name.version = version.empty() ? "latest" : std::move(version);
  if (!IsVersion(name.version)) {
    return absl::InvalidArgumentError(Format(
        "'{}' is no version of a secret; expected a number, an alias or latest", name.version));
  }
  return name;
}

absl::StatusOr<NamePrefix> ParsePrefix(std::string_view prefix, const Home& home) {
  NamePrefix result;
  std::vector<std::string_view> parts = Split(prefix);
  SECRETFS_ASSIGN_OR_RETURN(result.home, TakeHome(parts, home, prefix));
  if (result.home.project.empty()) return NoProject(prefix);
  if (parts.empty()) return result;
  if (parts.size() > 1 || (!parts[0].empty() && !IsSecretId(parts[0]))) {
    return absl::NotFoundError(
        Format("there is nothing below '{}': names in Secret Manager hold no '/', and a prefix is "
               "the beginning of a name",
               prefix));
  }
  result.begin = parts[0];
  return result;
}

std::string ParentPath(const Home& home) {
  if (home.location.empty()) return Format("projects/{}", home.project);
  return Format("projects/{}/locations/{}", home.project, home.location);
}

std::string SecretPath(const SecretName& name) {
  return Format("{}/secrets/{}", ParentPath(name.home), name.secret);
}

bool IsSecretId(std::string_view text) {
  return !text.empty() && text.size() <= kLongestSecretId &&
         std::all_of(text.begin(), text.end(), IsNameCharacter);
}

bool IsVersionNumber(std::string_view text) {
  return !text.empty() && text.size() <= kLongestNumber &&
         std::all_of(text.begin(), text.end(), IsDigit);
}

}  // namespace secretfs::providers::gcp
