#include "providers/azure/challenge.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/text.h"

namespace secretfs::providers::azure {
namespace {

constexpr std::string_view kScheme = "bearer";
constexpr std::string_view kDefaultScope = "/.default";

void SkipSeparators(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == ',' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
}

// The parameters of one challenge, by name in lower case; the first of a name counts. Values are
// quoted or not, as servers write them.
std::map<std::string, std::string> Parameters(std::string_view text) {
  std::map<std::string, std::string> parameters;
  for (SkipSeparators(text); !text.empty(); SkipSeparators(text)) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) break;
    const std::string name = LowerCase(text.substr(0, equals));
    text.remove_prefix(equals + 1);
    std::string value;
    if (text.starts_with('"')) {
      text.remove_prefix(1);
      const size_t end = std::min(text.find('"'), text.size());
      value = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
    } else {
      const size_t end = std::min(text.find_first_of(", \t"), text.size());
      value = text.substr(0, end);
      text.remove_prefix(end);
    }
    parameters.emplace(name, std::move(value));
  }
  return parameters;
}

// What follows "https://" up to the end of the authority; empty for anything else.
std::string_view AuthorityOf(std::string_view url) {
  constexpr std::string_view kHttps = "https://";
  if (!LowerCase(url.substr(0, kHttps.size())).starts_with(kHttps)) return {};
  url.remove_prefix(kHttps.size());
  return url.substr(0, std::min(url.find_first_of("/?#"), url.size()));
}

std::string TenantOf(std::string_view authorization) {
  const std::string_view authority = AuthorityOf(authorization);
  if (authority.empty()) return "";
  std::string_view path = authorization.substr(
      static_cast<size_t>(authority.data() - authorization.data()) + authority.size());
  while (path.starts_with('/')) path.remove_prefix(1);
  path = path.substr(0, std::min(path.find_first_of("/?#"), path.size()));
  return IsTenant(path) ? std::string(path) : "";
}

bool IsPlainHost(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.';
  });
}

}  // namespace

bool IsTenant(std::string_view text) {
  return text.size() <= 255 && IsPlainHost(text) && text != "." && text != "..";
}

absl::StatusOr<Challenge> ParseChallenge(std::string_view header) {
  SkipSeparators(header);
  const size_t space = std::min(header.find(' '), header.size());
  if (LowerCase(header.substr(0, space)) != kScheme) {
    return absl::UnauthenticatedError("the vault names no way to log in (no Bearer challenge)");
  }
  const std::map<std::string, std::string> parameters = Parameters(header.substr(space));
  const auto value = [&parameters](const std::string& name) {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
  };
  Challenge challenge;
  challenge.resource = value("scope");
  if (challenge.resource.ends_with(kDefaultScope)) {
    challenge.resource.resize(challenge.resource.size() - kDefaultScope.size());
  }
  if (challenge.resource.empty()) challenge.resource = value("resource");
  while (challenge.resource.ends_with('/')) challenge.resource.pop_back();
  if (!IsPlainHost(AuthorityOf(challenge.resource))) {
    return absl::UnauthenticatedError(
        "the vault's challenge names no resource to make a token for");
  }
  challenge.tenant = TenantOf(value("authorization"));
  if (challenge.tenant.empty()) challenge.tenant = TenantOf(value("authorization_uri"));
  return challenge;
}

bool ResourceFitsHost(std::string_view resource, std::string_view host) {
  const std::string domain = LowerCase(AuthorityOf(resource));
  return IsPlainHost(domain) && LowerCase(host).ends_with("." + domain);
}

}  // namespace secretfs::providers::azure
