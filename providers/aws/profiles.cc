#include "providers/aws/profiles.h"

#include <algorithm>
#include <optional>

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

std::string_view ValueOf(const Profile& profile, std::string_view key) {
  const auto found = profile.find(key);
  return found == profile.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace secretfs::providers::aws
