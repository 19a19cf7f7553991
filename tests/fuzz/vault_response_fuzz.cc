// Vault's answers, and keys as people write them: whatever stands there, the parsers must not
// crash, and what they accept must keep its promises.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "providers/vault/vault_key.h"
#include "providers/vault/vault_response.h"

namespace secretfs::providers::vault {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckSecret(const absl::StatusOr<Secret>& secret) {
  if (!secret.ok()) return;
  Require(!secret->version.empty());
  Require(secret->value.size() >= 2);  // at least {}
  Require(!secret->time_to_live.has_value() || *secret->time_to_live >= Duration(0));
  Require(!secret->lease.has_value() || !secret->lease->id.empty());
}

void ParseAll(std::string_view body) {
  CheckSecret(ParseVersionedSecret(body, WallTime(std::chrono::seconds(1'800'000'000))));
  CheckSecret(ParsePlainSecret(body));
  (void)ParseDeletedVersion(body);
  if (const auto entries = ParseList(body); entries.ok()) {
    for (const ListEntry& entry : *entries) {
      Require(entry.is_secret || entry.is_prefix);
      Require(ParseKey({entry.name + "/x", ""}).ok());
    }
  }
  if (const auto mount = ParseMount(body); mount.ok()) Require(!mount->path.empty());
  if (const auto mounts = ParseMounts(body); mounts.ok()) {
    for (const Mount& mount : *mounts) Require(!mount.path.empty());
  }
  if (const auto grant = ParseTokenGrant(body); grant.ok()) {
    Require(!grant->token.empty() && grant->duration.count() >= 0);
  }
  (void)ParseTokenLookup(body);
  (void)ParseLease(body);
  (void)ParseDataField(body, "secret_id");
  const std::string texts = ErrorTexts(body);
  Require(texts.size() <= 200);
  for (const char c : texts) Require(c >= ' ' && c <= '~');
}

// No reading may leave its engine: its path begins with the mount and holds no component that an
// HTTP server would take for another folder.
void CheckKey(std::string_view text) {
  const absl::StatusOr<ParsedKey> key = ParseKey({std::string(text), ""});
  if (!key.ok()) return;
  std::vector<Location> readings = ReadingsWithoutMount(key->path);
  for (const Engine engine : {Engine::kKv1, Engine::kKv2, Engine::kOther, Engine::kUnknown}) {
    for (const Location& location : Readings(key->path, {"a/b", engine}, true)) {
      Require(ReadPath(location).starts_with("a/b/"));
      readings.push_back(location);
    }
  }
  for (const Location& location : readings) {
    const std::string path = "/" + ReadPath(location) + "/";
    for (const char* part : {"//", "/../", "/./", "?", "#", " "}) {
      Require(path.find(part) == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace secretfs::providers::vault

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  secretfs::providers::vault::ParseAll(input);
  secretfs::providers::vault::CheckKey(input);
  return 0;
}
