#include "providers/vault/vault_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace secretfs::providers::vault {
namespace {

using ::testing::ElementsAre;

const Mount kV1 = {"secret", Engine::kKv1};
const Mount kV2 = {"secret", Engine::kKv2};
const Mount kPki = {"pki", Engine::kOther};
const Mount kNested = {"team/kv", Engine::kKv2};

// The API paths of a key's readings, in order.
std::vector<std::string> Paths(std::string_view key, const Mount& mount, bool relative) {
  std::vector<std::string> paths;
  for (const Location& location : Readings(key, mount, relative))
    paths.push_back(ReadPath(location));
  return paths;
}

std::string KeyOf(const std::string& key, const std::string& version = {}) {
  const absl::StatusOr<ParsedKey> parsed = ParseKey({key, version});
  if (!parsed.ok()) return "error";
  return parsed->version.empty() ? parsed->path : parsed->path + "#" + parsed->version;
}

TEST(VaultKeyTest, TakesApiPrefixAndVersionOff) {
  EXPECT_EQ(KeyOf("app/db"), "app/db");
  EXPECT_EQ(KeyOf("/v1/secret/data/app"), "secret/data/app");
  EXPECT_EQ(KeyOf("/secret/app"), "secret/app");
  EXPECT_EQ(KeyOf("v1/app"), "v1/app");
  EXPECT_EQ(KeyOf("app?version=3"), "app#3");
  EXPECT_EQ(KeyOf("app", "3"), "app#3");
  EXPECT_EQ(KeyOf("app?version=3", "3"), "app#3");
  EXPECT_EQ(KeyOf("app", "0"), "app");
  EXPECT_EQ(KeyOf("what?version=x"), "what?version=x");
  EXPECT_EQ(KeyOf("what?"), "what?");
}

TEST(VaultKeyTest, RefusesWhatWouldLeaveTheEngine) {
  for (const char* key :
       {"", "/", "/v1/", "a//b", "a/", "..", "a/../b", "./a", "a/.", "?version=1"}) {
    EXPECT_EQ(KeyOf(key), "error") << key;
  }
  EXPECT_EQ(KeyOf("app?version=3", "4"), "error");
  EXPECT_EQ(KeyOf("app", "latest"), "error");
  EXPECT_EQ(KeyOf("app", "-1"), "error");
  EXPECT_EQ(KeyOf("app", "99999999999"), "error");
  EXPECT_EQ(KeyOf("..a/b..", ""), "..a/b..");
}

TEST(VaultKeyTest, PrefixesMayBeTheRootAndEndWithASlash) {
  EXPECT_EQ(ParsePrefix("").value(), "");
  EXPECT_EQ(ParsePrefix("/").value(), "");
  EXPECT_EQ(ParsePrefix("/v1/app/").value(), "app");
  EXPECT_FALSE(ParsePrefix("a/../b").ok());
}

TEST(VaultKeyTest, RelativeKeys) {
  EXPECT_THAT(Paths("app/db", kV2, true), ElementsAre("secret/data/app/db"));
  EXPECT_THAT(Paths("app/db", kV1, true), ElementsAre("secret/app/db"));
  EXPECT_THAT(Paths("cert/ca", kPki, true), ElementsAre("pki/cert/ca"));
  EXPECT_THAT(Paths("secrets/x", kV2, true), ElementsAre("secret/data/secrets/x"));
  EXPECT_THAT(Paths("secret", kV2, true), ElementsAre("secret/data/secret"));
}

TEST(VaultKeyTest, RelativeKeysThatRepeatTheMountAreReadAsWrittenFirst) {
  EXPECT_THAT(Paths("secret/app", kV2, true),
              ElementsAre("secret/data/secret/app", "secret/data/app"));
  EXPECT_THAT(
      Paths("secret/data/app", kV2, true),
      ElementsAre("secret/data/secret/data/app", "secret/data/data/app", "secret/data/app"));
  EXPECT_THAT(Paths("secret/data/app", kV1, true),
              ElementsAre("secret/secret/data/app", "secret/data/app"));
  EXPECT_THAT(Paths("team/kv/a", kNested, true),
              ElementsAre("team/kv/data/team/kv/a", "team/kv/data/a"));
}

TEST(VaultKeyTest, FullKeys) {
  EXPECT_THAT(Paths("secret/app", kV2, false), ElementsAre("secret/data/app"));
  EXPECT_THAT(Paths("secret/data/app", kV2, false),
              ElementsAre("secret/data/data/app", "secret/data/app"));
  EXPECT_THAT(Paths("secret/data/app", kV1, false), ElementsAre("secret/data/app"));
  EXPECT_THAT(Paths("team/kv/a/b", kNested, false), ElementsAre("team/kv/data/a/b"));
  EXPECT_THAT(Paths("pki/data/x", kPki, false), ElementsAre("pki/data/x"));
}

TEST(VaultKeyTest, UnknownEnginesAreTriedAsVersion2ThenVersion1) {
  const Mount unknown = {"secret", Engine::kUnknown};
  EXPECT_THAT(Paths("app", unknown, true), ElementsAre("secret/data/app", "secret/app"));
  EXPECT_THAT(
      Paths("secret/app", unknown, true),
      ElementsAre("secret/data/secret/app", "secret/secret/app", "secret/data/app", "secret/app"));
}

TEST(VaultKeyTest, WithoutAKnownMountTheFirstComponentIsTried) {
  std::vector<std::string> paths;
  for (const Location& location : ReadingsWithoutMount("kv/data/app")) {
    paths.push_back(ReadPath(location));
  }
  EXPECT_THAT(paths, ElementsAre("kv/data/data/app", "kv/data/app", "kv/data/app"));
  EXPECT_EQ(ReadingsWithoutMount("kv").size(), 1u);
}

TEST(VaultKeyTest, PathsAreEncodedAndListsGoToMetadata) {
  EXPECT_EQ(EncodePath("a b/100%?#&+=\xc3\xbc\x01~._-"),
            "a%20b/100%25%3F%23%26%2B%3D%C3%BC%01~._-");
  EXPECT_EQ(ListPath({Engine::kKv2, "secret", "a b"}), "secret/metadata/a%20b");
  EXPECT_EQ(ListPath({Engine::kKv2, "secret", ""}), "secret/metadata");
  EXPECT_EQ(ListPath({Engine::kKv1, "secret", "app"}), "secret/app");
  EXPECT_EQ(DisplayPath({Engine::kKv2, "secret", "app"}), "secret/app");
}

}  // namespace
}  // namespace secretfs::providers::vault
