// Reading and listing key-value engines of a real Vault.

#include <filesystem>
#include <string>

#include "tests/integration/vault/vault_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class VaultKv : public VaultTest {
 protected:
  void PutV2(const std::string& path, const nlohmann::json& fields,
             const std::string& mount = "secret") {
    vault().Write(mount + "/data/" + path, {{"data", fields}});
  }
};

TEST_F(VaultKv, Version2GivesFieldsVersionAndTime) {
  PutV2("app/db", {{"user", "alice"}, {"port", 5432}, {"tags", {"a", "b"}}, {"html", "<&>"}});
  const auto provider = Make(Config("secret"));
  const auto secret = Fetch(*provider, "app/db");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(Field(secret, "user"), "alice");
  EXPECT_EQ(Field(secret, "port"), "5432");
  EXPECT_EQ(Field(secret, "tags"), R"(["a","b"])");
  EXPECT_EQ(Field(secret, "html"), "<&>");
  EXPECT_EQ((*secret)->fields.size(), 4u);
  EXPECT_EQ(Text((*secret)->value),
            R"({"html":"<&>","port":5432,"tags":["a","b"],"user":"alice"})");
  EXPECT_THAT((*secret)->version, StartsWith("1@20"));
  ASSERT_TRUE((*secret)->changed_at.has_value());
  EXPECT_LT(clock_.WallNow() - *(*secret)->changed_at, std::chrono::minutes(1));
  EXPECT_FALSE((*secret)->time_to_live.has_value());
  EXPECT_FALSE((*secret)->lease.has_value());
}

TEST_F(VaultKv, OldVersionsAreReadByNumber) {
  PutV2("app", {{"v", "one"}});
  PutV2("app", {{"v", "two"}});
  const auto provider = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "two");
  EXPECT_EQ(Field(Fetch(*provider, "app", "1"), "v"), "one");
  EXPECT_EQ(Field(Fetch(*provider, "app?version=1"), "v"), "one");
  EXPECT_THAT(Fetch(*provider, "app", "3"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "app", "new"), HasCode(StatusCode::kInvalidArgument));
}

TEST_F(VaultKv, DeletedAndDestroyedVersionsAreNotFound) {
  PutV2("app", {{"v", "one"}});
  PutV2("app", {{"v", "two"}});
  vault().Delete("secret/data/app");
  vault().Write("secret/destroy/app", {{"versions", {1}}});
  const auto provider = Make(Config("secret"));
  const auto newest = Fetch(*provider, "app");
  EXPECT_THAT(newest, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(newest.status().ToString(), HasSubstr("version 2 was deleted at 20"));
  const auto first = Fetch(*provider, "app", "1");
  EXPECT_THAT(first, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(first.status().ToString(), HasSubstr("version 1 was destroyed"));
}

TEST_F(VaultKv, RecreatedSecretHasAnotherVersionThoughItsNumberIsTheSame) {
  PutV2("app", {{"v", "one"}});
  const auto provider = Make(Config("secret"));
  const auto before = Fetch(*provider, "app");
  vault().Delete("secret/metadata/app");
  PutV2("app", {{"v", "other"}});
  const auto after = Fetch(*provider, "app");
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_THAT((*after)->version, StartsWith("1@"));
  EXPECT_NE((*before)->version, (*after)->version);
}

TEST_F(VaultKv, PlannedDeletionBoundsTheTimeToLive) {
  vault().Write("secret/metadata/app", {{"delete_version_after", "90s"}});
  PutV2("app", {{"v", "one"}});
  const auto provider = Make(Config("secret"));
  const auto secret = Fetch(*provider, "app");
  ASSERT_TRUE(secret.ok()) << secret.status();
  ASSERT_TRUE((*secret)->time_to_live.has_value());
  EXPECT_LE(*(*secret)->time_to_live, std::chrono::seconds(90));
  EXPECT_GT(*(*secret)->time_to_live, std::chrono::seconds(30));
}

TEST_F(VaultKv, Version1IsDetectedAndVersionedByContent) {
  vault().MountKv("old", "1");
  vault().Write("old/app/db", {{"user", "bob"}, {"n", 1}});
  const auto provider = Make(Config("old"));
  const auto first = Fetch(*provider, "app/db");
  EXPECT_EQ(Field(first, "user"), "bob");
  EXPECT_EQ(Text((*first)->value), R"({"n":1,"user":"bob"})");
  const auto again = Fetch(*provider, "app/db");
  EXPECT_EQ((*first)->version, (*again)->version);
  vault().Write("old/app/db", {{"user", "carol"}, {"n", 1}});
  const auto changed = Fetch(*provider, "app/db");
  EXPECT_EQ(Field(changed, "user"), "carol");
  EXPECT_NE((*first)->version, (*changed)->version);
  EXPECT_THAT(Fetch(*provider, "app/db", "1"), HasCode(StatusCode::kInvalidArgument));
  EXPECT_THAT(Fetch(*provider, "nothing"), HasCode(StatusCode::kNotFound));
  EXPECT_EQ(List(*provider, ""), "app/");
  EXPECT_EQ(List(*provider, "app"), "db");
}

TEST_F(VaultKv, NestedMountsWithAndWithoutConfiguredPath) {
  vault().MountKv("team/blue/kv", "2");
  vault().MountKv("team/green", "1");
  PutV2("a/b", {{"v", "blue"}}, "team/blue/kv");
  vault().Write("team/green/a/b", {{"v", "green"}});
  PutV2("a/b", {{"v", "top"}});
  EXPECT_EQ(Field(Fetch(*Make(Config("team/blue/kv")), "a/b"), "v"), "blue");
  EXPECT_EQ(Field(Fetch(*Make(Config("/team/green/")), "a/b"), "v"), "green");

  const auto provider = Make(Config(""));
  EXPECT_EQ(Field(Fetch(*provider, "team/blue/kv/a/b"), "v"), "blue");
  EXPECT_EQ(Field(Fetch(*provider, "team/green/a/b"), "v"), "green");
  EXPECT_EQ(Field(Fetch(*provider, "secret/a/b"), "v"), "top");
  EXPECT_EQ(List(*provider, ""), "secret/, team/");
  EXPECT_EQ(List(*provider, "team"), "blue/, green/");
  EXPECT_EQ(List(*provider, "team/blue"), "kv/");
  EXPECT_EQ(List(*provider, "team/blue/kv"), "a/");
  EXPECT_EQ(List(*provider, "team/green/a"), "b");
}

TEST_F(VaultKv, KeysOfExternalSecretsAndOfTheVaultCsiProvider) {
  PutV2("app/db", {{"v", "x"}});
  const auto relative = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*relative, "secret/app/db"), "v"), "x");
  EXPECT_EQ(Field(Fetch(*relative, "secret/data/app/db"), "v"), "x");
  EXPECT_EQ(Field(Fetch(*relative, "/v1/secret/data/app/db"), "v"), "x");
  const auto full = Make(Config(""));
  EXPECT_EQ(Field(Fetch(*full, "/v1/secret/data/app/db"), "v"), "x");
  EXPECT_EQ(Field(Fetch(*full, "secret/data/app/db?version=1"), "v"), "x");
}

TEST_F(VaultKv, FoldersNamedLikeTheMountOrDataAreReadAsWritten) {
  PutV2("x", {{"v", "plain"}});
  PutV2("secret/x", {{"v", "in secret"}});
  PutV2("data/x", {{"v", "in data"}});
  const auto relative = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*relative, "secret/x"), "v"), "in secret");
  EXPECT_EQ(Field(Fetch(*relative, "data/x"), "v"), "in data");
  const auto full = Make(Config(""));
  EXPECT_EQ(Field(Fetch(*full, "secret/secret/x"), "v"), "in secret");
  EXPECT_EQ(Field(Fetch(*full, "secret/data/x"), "v"), "in data");
  vault().Delete("secret/metadata/data/x");
  EXPECT_EQ(Field(Fetch(*full, "secret/data/x"), "v"), "plain");
}

TEST_F(VaultKv, ListsMergeSecretsAndPrefixesOfTheSameName) {
  PutV2("app", {{"v", "1"}});
  PutV2("app/db", {{"v", "1"}});
  PutV2("zed", {{"v", "1"}});
  PutV2("deep/er/still", {{"v", "1"}});
  const auto provider = Make(Config("secret"));
  EXPECT_EQ(List(*provider, ""), "app app/, deep/, zed");
  EXPECT_EQ(List(*provider, "app"), "db");
  EXPECT_EQ(List(*provider, "deep/er/"), "still");
  EXPECT_THAT(List(*provider, "nothing"), StartsWith("NOT_FOUND"));
  EXPECT_THAT(List(*provider, "zed"), StartsWith("NOT_FOUND"));
  EXPECT_THAT(List(*provider, "../sys"), StartsWith("INVALID_ARGUMENT"));
}

TEST_F(VaultKv, AnEmptyEngineListsNothingAndAMissingOneIsNotFound) {
  vault().MountKv("empty", "2");
  EXPECT_EQ(List(*Make(Config("empty")), ""), "");
  auto config = Config("missing");
  config.version = "v2";
  EXPECT_THAT(List(*Make(config), ""), StartsWith("NOT_FOUND"));
  const auto secret = Fetch(*Make(config), "x");
  EXPECT_THAT(secret, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("no secrets engine"));
}

TEST_F(VaultKv, NamesWithSpacesPercentAndUnicode) {
  const std::string name = "a b/100%/ü?x#y&z=+";
  vault().Write("secret/data/a%20b/100%25/%C3%BC%3Fx%23y%26z%3D%2B", {{"data", {{"v", "odd"}}}});
  const auto provider = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*provider, name), "v"), "odd");
  EXPECT_EQ(List(*provider, "a b/100%"), "ü?x#y&z=+");
  EXPECT_THAT(Fetch(*provider, "a/../b"), HasCode(StatusCode::kInvalidArgument));
  EXPECT_THAT(Fetch(*provider, "a//b"), HasCode(StatusCode::kInvalidArgument));
}

TEST_F(VaultKv, OneDeniedPathLeavesTheOthersWorking) {
  PutV2("open/a", {{"v", "seen"}});
  PutV2("closed/a", {{"v", "hidden-value"}});
  vault().WritePolicy("p", R"(path "secret/data/open/*" { capabilities = ["read"] })");
  const std::string token = vault().MakeToken({{"policies", {"p"}}});
  const auto provider = Make(Config("secret", token));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Field(Fetch(*provider, "open/a"), "v"), "seen");
    const auto denied = Fetch(*provider, "closed/a");
    EXPECT_THAT(denied, HasCode(StatusCode::kPermissionDenied));
    EXPECT_THAT(denied.status().ToString(),
                AllOf(HasSubstr(vault().address()), HasSubstr("secret/closed/a"), HasSubstr("403"),
                      Not(HasSubstr("hidden-value")), Not(HasSubstr(token))));
  }
  EXPECT_THAT(List(*provider, "open"), StartsWith("PERMISSION_DENIED"));
}

TEST_F(VaultKv, TokenWithoutTheDefaultPolicyStillReads) {
  vault().MountKv("old", "1");
  vault().Write("old/app", {{"v", "v1"}});
  PutV2("app", {{"v", "v2"}});
  vault().WritePolicy("p", R"(path "secret/data/app" { capabilities = ["read"] }
                              path "old/app" { capabilities = ["read"] })");
  const std::string token = vault().MakeToken({{"policies", {"p"}}, {"no_default_policy", true}});
  for (const char* mount : {"secret", "old"}) {
    EXPECT_THAT(Field(Fetch(*Make(Config(mount, token)), "app"), "v"), StartsWith("v")) << mount;
    EXPECT_THAT(Fetch(*Make(Config(mount, token)), "other"),
                HasCode(StatusCode::kPermissionDenied));
  }
  EXPECT_EQ(Field(Fetch(*Make(Config("", token)), "secret/app"), "v"), "v2");
  EXPECT_EQ(Field(Fetch(*Make(Config("", token)), "old/app"), "v"), "v1");
}

TEST_F(VaultKv, AnEngineThatIsReplacedByAnotherVersionIsNoticed) {
  vault().MountKv("kv", "1");
  vault().Write("kv/app", {{"v", "one"}});
  auto config = Config("kv");
  const auto provider = Make(config);
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "one");
  vault().Delete("sys/mounts/kv");
  vault().MountKv("kv", "2");
  PutV2("app", {{"v", "two"}}, "kv");
  // Asked about again once a minute at most; a provider made now knows at once.
  EXPECT_EQ(Field(Fetch(*Make(config), "app"), "v"), "two");
}

TEST_F(VaultKv, OtherEnginesAreReadAsTheyAre) {
  vault().Write("sys/mounts/pki", {{"type", "pki"}});
  vault().Write("pki/root/generate/internal", {{"common_name", "test"}, {"ttl", "1h"}});
  const auto provider = Make(Config("pki"));
  EXPECT_THAT(Field(Fetch(*provider, "cert/ca"), "certificate"),
              StartsWith("-----BEGIN CERTIFICATE"));
  const auto pem = Fetch(*provider, "ca/pem");
  ASSERT_TRUE(pem.ok()) << pem.status();
  EXPECT_THAT(Text((*pem)->value), StartsWith("-----BEGIN CERTIFICATE"));
  EXPECT_TRUE((*pem)->fields.empty());
  EXPECT_EQ(Field(Fetch(*Make(Config("")), "pki/cert/ca"), "revocation_time"), "0");
}

TEST_F(VaultKv, LargeValuesUpToTheLimit) {
  PutV2("big", {{"v", std::string(900'000, '<')}});
  const auto secret = Fetch(*Make(Config("secret")), "big");
  // Six bytes of JSON for each '<': more than the answer's limit of 2 MiB.
  EXPECT_THAT(secret, HasCode(StatusCode::kOutOfRange));
  PutV2("big", {{"v", std::string(900'000, 'x')}});
  EXPECT_EQ(Field(Fetch(*Make(Config("secret")), "big"), "v").size(), 900'000u);
}

TEST_F(VaultKv, CapabilitiesAndConfigurationErrors) {
  const auto provider = Make(Config("secret"));
  EXPECT_TRUE(provider->capabilities().list);
  EXPECT_TRUE(provider->capabilities().structured);
  EXPECT_FALSE(provider->capabilities().watch);
  EXPECT_EQ(provider->capabilities().batch_size, 1u);
  const auto not_a_mount = Fetch(*Make(Config("secret/app")), "db");
  EXPECT_THAT(not_a_mount, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(not_a_mount.status().ToString(), HasSubstr("lies in 'secret'"));
  EXPECT_THAT(Fetch(*Make(Config("")), "secret"), HasCode(StatusCode::kNotFound));
}

}  // namespace
}  // namespace secretfs::testing
