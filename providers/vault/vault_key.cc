#include "providers/vault/vault_key.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::vault {
namespace {

constexpr std::string_view kApiPrefix = "v1/";
constexpr std::string_view kDataPrefix = "data/";
constexpr std::string_view kVersionQuery = "?version=";

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The key itself is not a secret and is quoted in errors.
absl::Status CheckComponents(std::string_view path) {
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component.empty()) {
      return absl::InvalidArgumentError(
          Format("the key '{}' has an empty component: write it without '//' and without '/' at "
                 "its end",
                 path));
    }
    if (component == "." || component == "..") {
      return absl::InvalidArgumentError(Format(
          "the key '{}' has the component '{}', which Vault does not allow", path, component));
    }
    begin = end + 1;
  }
  return absl::OkStatus();
}

std::string_view WithoutApiPrefix(std::string_view key) {
  // Only "/v1/" with the slash: a key may really begin with a mount or folder called "v1".
  if (!key.empty() && key.front() == '/') {
    key.remove_prefix(1);
    if (key.starts_with(kApiPrefix)) key.remove_prefix(kApiPrefix.size());
  }
  return key;
}

std::string Join(std::string_view a, std::string_view b) {
  if (a.empty()) return std::string(b);
  if (b.empty()) return std::string(a);
  return Format("{}/{}", a, b);
}

// What stands after `mount` in a path below it.
std::string_view Inside(std::string_view path, std::string_view mount) {
  return path.size() == mount.size() ? std::string_view() : path.substr(mount.size() + 1);
}

void AddKnown(std::string_view inner, const Mount& mount, std::vector<Location>& readings) {
  const Location location{mount.engine, mount.path, std::string(inner)};
  if (std::find(readings.begin(), readings.end(), location) == readings.end()) {
    readings.push_back(location);
  }
}

// `inner` as it is written, for an engine that may have to be guessed.
void Add(std::string_view inner, const Mount& mount, std::vector<Location>& readings) {
  if (mount.engine != Engine::kUnknown) return AddKnown(inner, mount, readings);
  AddKnown(inner, {mount.path, Engine::kKv2}, readings);
  AddKnown(inner, {mount.path, Engine::kKv1}, readings);
}

// `inner`, and without the API's "data/".
void AddFull(std::string_view inner, const Mount& mount, std::vector<Location>& readings) {
  Add(inner, mount, readings);
  const bool may_be_kv2 = mount.engine == Engine::kKv2 || mount.engine == Engine::kUnknown;
  if (may_be_kv2 && inner.starts_with(kDataPrefix)) {
    AddKnown(inner.substr(kDataPrefix.size()), {mount.path, Engine::kKv2}, readings);
  }
}

}  // namespace

absl::StatusOr<ParsedKey> ParseKey(const SecretRef& ref) {
  std::string_view path = WithoutApiPrefix(ref.key);
  std::string_view version = ref.version;
  const size_t query = path.rfind(kVersionQuery);
  if (query != std::string_view::npos && IsNumber(path.substr(query + kVersionQuery.size()))) {
    const std::string_view in_key = path.substr(query + kVersionQuery.size());
    if (!version.empty() && version != in_key) {
      return absl::InvalidArgumentError(Format(
          "the key '{}' asks for version {} and the version field for {}", path, in_key, version));
    }
    version = in_key;
    path = path.substr(0, query);
  }
  if (!version.empty() && !IsNumber(version)) {
    return absl::InvalidArgumentError(
        Format("the version of '{}' must be a number, not '{}'", path, version));
  }
  if (path.empty()) return absl::InvalidArgumentError("the key is empty");
  SECRETFS_RETURN_IF_ERROR(CheckComponents(path));
  // Vault's own word for the newest version.
  if (version == "0") version = "";
  return ParsedKey{std::string(path), std::string(version)};
}

absl::StatusOr<std::string> ParsePrefix(std::string_view prefix) {
  prefix = WithoutApiPrefix(prefix);
  while (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  if (!prefix.empty()) SECRETFS_RETURN_IF_ERROR(CheckComponents(prefix));
  return std::string(prefix);
}

bool IsBelow(std::string_view path, std::string_view mount) {
  return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/');
}

std::vector<Location> Readings(std::string_view key, const Mount& mount, bool relative) {
  std::vector<Location> readings;
  if (!relative) {
    AddFull(Inside(key, mount.path), mount, readings);
    return readings;
  }
  Add(key, mount, readings);
  if (key != mount.path && IsBelow(key, mount.path)) {
    AddFull(Inside(key, mount.path), mount, readings);
  }
  return readings;
}

std::vector<Location> ReadingsWithoutMount(std::string_view key) {
  std::vector<Location> readings;
  const size_t slash = key.find('/');
  if (slash != std::string_view::npos) {
    AddFull(key.substr(slash + 1), {std::string(key.substr(0, slash)), Engine::kKv2}, readings);
  }
  readings.push_back({Engine::kOther, "", std::string(key)});
  return readings;
}

std::string EncodePath(std::string_view path) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  std::string encoded;
  encoded.reserve(path.size());
  for (const char c : path) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      encoded.push_back(c);
    } else {
      encoded += Format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string ReadPath(const Location& location) {
  const std::string_view infix = location.engine == Engine::kKv2 ? "data" : "";
  return EncodePath(Join(Join(location.mount, infix), location.path));
}

std::string ListPath(const Location& location) {
  const std::string_view infix = location.engine == Engine::kKv2 ? "metadata" : "";
  return EncodePath(Join(Join(location.mount, infix), location.path));
}

std::string DisplayPath(const Location& location) { return Join(location.mount, location.path); }

std::string WithoutEndSlashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  while (path.starts_with('/')) path.remove_prefix(1);
  return std::string(path);
}

}  // namespace secretfs::providers::vault
