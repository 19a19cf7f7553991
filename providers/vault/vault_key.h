#pragma once

// How a key becomes paths of Vault's API. Pure functions and plain values: no server is asked here.
//
// A key names a secret either relative to the configured mount or, without one, by its full path.
// People also bring keys from External Secrets (which may repeat the mount and the API's "data/")
// and from the Vault CSI provider ("/v1/secret/data/app", "secret/data/app?version=2"). A key is
// always tried as it is written first, because a folder may really have the name of the mount or be
// called "data"; the shortened readings follow.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/provider.h"

namespace secretfs::providers::vault {

enum class Engine {
  kKv1,
  kKv2,
  kOther,    // not a key-value engine: read as it is
  kUnknown,  // the token may not look at the mount's description
};

// A secrets engine; `path` without slashes at its ends.
struct Mount {
  std::string path;
  Engine engine = Engine::kUnknown;
  friend bool operator==(const Mount&, const Mount&) = default;
};

// One reading of a key: `path` inside `mount`, never with a slash at an end; both not encoded. The
// engine is never kUnknown. An empty mount is possible for kOther only: `path` is then the API's.
struct Location {
  Engine engine = Engine::kOther;
  std::string mount;
  std::string path;
  friend bool operator==(const Location&, const Location&) = default;
};

struct ParsedKey {
  std::string path;
  std::string version;  // digits, or empty for the newest
};

// Takes "/v1/" and "?version=N" off. InvalidArgument for empty keys, empty, "." and ".." components
// (they would name other paths of the API), a slash at the end, and versions that are not numbers.
absl::StatusOr<ParsedKey> ParseKey(const SecretRef& ref);

// The same for a prefix to list; "" is the root.
absl::StatusOr<std::string> ParsePrefix(std::string_view prefix);

// The readings of `key` in the order in which they are to be tried. `relative`: the mount comes
// from the configuration, so the key need not begin with it. REQUIRES: otherwise, key is the
// mount's path or lies below it.
std::vector<Location> Readings(std::string_view key, const Mount& mount, bool relative);

// The readings of a full path whose mount is not known and cannot be found out: the first component
// as a mount of KV version 2, then the path as it is.
std::vector<Location> ReadingsWithoutMount(std::string_view key);

// True when `path` is `mount` or lies below it.
bool IsBelow(std::string_view path, std::string_view mount);

// Percent-encoded paths below /v1/.
std::string ReadPath(const Location& location);
std::string ListPath(const Location& location);
std::string EncodePath(std::string_view path);

// Without any '/' at the beginning and the end.
std::string WithoutEndSlashes(std::string_view path);

// What people see: mount and path as one.
std::string DisplayPath(const Location& location);

}  // namespace secretfs::providers::vault
