#include "cli/store_factory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <vector>

#include "base/text.h"
#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

providers::StoreConfig VaultStore(const std::string& token_file) {
  providers::VaultStoreConfig vault;
  vault.server = "https://vault.example:8200";
  providers::VaultTokenAuth auth;
  auth.token.file = token_file;
  vault.auth = auth;
  return {.name = "team", .provider = vault};
}

TEST(StoreFactoryTest, IdentityTellsApartWhoAsks) {
  EXPECT_EQ(IdentityOf(VaultStore("/run/a")), IdentityOf(VaultStore("/run/a")));
  EXPECT_NE(IdentityOf(VaultStore("/run/a")), IdentityOf(VaultStore("/run/b")));
  // Headers and the checks of the server are part of it, header values only by their hash.
  providers::StoreConfig tenant = VaultStore("/run/a");
  std::get<providers::VaultStoreConfig>(tenant.provider).headers["X-Tenant"] = "planted";
  EXPECT_NE(IdentityOf(tenant), IdentityOf(VaultStore("/run/a")));
  EXPECT_EQ(IdentityOf(tenant).find("planted"), std::string::npos);
  providers::StoreConfig server = VaultStore("/run/a");
  std::get<providers::VaultStoreConfig>(server.provider).tls.server_name = "other";
  EXPECT_NE(IdentityOf(server), IdentityOf(VaultStore("/run/a")));
  providers::StoreConfig role = VaultStore("/run/a");
  providers::VaultKubernetesAuth kubernetes;
  kubernetes.role = "web";
  std::get<providers::VaultStoreConfig>(role.provider).auth = kubernetes;
  const std::string web = IdentityOf(role);
  kubernetes.role = "jobs";
  std::get<providers::VaultStoreConfig>(role.provider).auth = kubernetes;
  EXPECT_NE(IdentityOf(role), web);
  EXPECT_NE(IdentityOf(role), IdentityOf(VaultStore("/run/a")));
}

providers::StoreConfig WithHeaders(std::map<std::string, std::string> headers) {
  providers::StoreConfig store = VaultStore("/run/a");
  std::get<providers::VaultStoreConfig>(store.provider).headers = std::move(headers);
  return store;
}

// What libstdc++'s std::hash does to each eight bytes, and back.
constexpr uint64_t kHashFactor = 0xc6a4a7935bd1e995;
uint64_t MixBlock(uint64_t block) {
  block *= kHashFactor;
  return (block ^ (block >> 47)) * kHashFactor;
}
uint64_t UnmixBlock(uint64_t mixed) {
  uint64_t inverse = kHashFactor;  // of the factor, modulo 2^64, by Newton's method
  for (int i = 0; i < 6; ++i) inverse *= 2 - kHashFactor * inverse;
  mixed *= inverse;
  return (mixed ^ (mixed >> 47)) * inverse;
}

TEST(StoreFactoryTest, TenantsWhoseHeadersMeetInAWeakHashStayApart) {
  const auto value_of = [](uint64_t first, uint64_t second) {
    std::string value(16, '\0');
    std::memcpy(value.data(), &first, 8);
    std::memcpy(value.data() + 8, &second, 8);
    return value;
  };
  constexpr uint64_t kFirst = 0x31746e616e6574, kOther = 0x32746e616e6574, kSecond = 7;
  constexpr uint64_t kSeed = 0xc70f6907 ^ (16 * kHashFactor);
  const uint64_t difference =
      ((kSeed ^ MixBlock(kFirst)) * kHashFactor) ^ ((kSeed ^ MixBlock(kOther)) * kHashFactor);
  const std::string one = value_of(kFirst, kSecond);
  const std::string other = value_of(kOther, UnmixBlock(MixBlock(kSecond) ^ difference));
  ASSERT_NE(one, other);
  ASSERT_EQ(std::hash<std::string>()(one), std::hash<std::string>()(other)) << "another library?";
  EXPECT_NE(IdentityOf(WithHeaders({{"X-Tenant", one}})),
            IdentityOf(WithHeaders({{"X-Tenant", other}})));
}

TEST(StoreFactoryTest, NoPartOfAnIdentityCanSayWhatAnotherSays) {
  const auto hash_of = [](const std::string& value) {
    return Format("{:016x}", std::hash<std::string>()(value));
  };
  EXPECT_NE(IdentityOf(WithHeaders({{"a", "x"}, {"b", "y"}})),
            IdentityOf(WithHeaders({{Format("a={},b", hash_of("x")), "y"}})));
  // Each pair was one text when the parts stood side by side with semicolons between them.
  const auto vault = [](const std::string& path, const std::string& version,
                        const std::string& name_space) {
    providers::StoreConfig store = VaultStore("/run/a");
    auto& config = std::get<providers::VaultStoreConfig>(store.provider);
    config.path = path;
    config.version = version;
    config.name_space = name_space;
    return IdentityOf(store);
  };
  EXPECT_NE(vault("a;", "", "b"), vault("a", ";", "b"));
  EXPECT_NE(vault("a", "v2", "b;c"), vault("a;v2", "b", "c"));
  const auto aws = [](const std::string& role, const std::string& id) {
    providers::AwsStoreConfig config;
    config.role = role;
    config.external_id = id;
    return IdentityOf(providers::StoreConfig{.name = "aws", .provider = config});
  };
  EXPECT_NE(aws("r;x", "y"), aws("r", "x;y"));
  const auto kubernetes = [](std::vector<std::string> audiences) {
    providers::KubernetesStoreConfig config;
    config.service_account = {.name = "n", .name_space = "s", .audiences = std::move(audiences)};
    return IdentityOf(providers::StoreConfig{.name = "k", .provider = config});
  };
  EXPECT_NE(kubernetes({"a b"}), kubernetes({"a", "b"}));
}

TEST(StoreFactoryTest, AnInlineValueIsTheSameIdentityInEveryProcess) {
  const auto identity_with = [](std::string_view token) {
    providers::StoreConfig store = VaultStore("");
    auto& vault = std::get<providers::VaultStoreConfig>(store.provider);
    std::get<providers::VaultTokenAuth>(vault.auth).token.inline_value =
        std::make_shared<const SecretBytes>(SecretBytes::CopyOf(token));
    return IdentityOf(store);
  };
  EXPECT_EQ(identity_with("planted"), identity_with("planted"));
  EXPECT_NE(identity_with("planted"), identity_with("other"));
  EXPECT_NE(identity_with(""), IdentityOf(VaultStore("")));
  EXPECT_EQ(identity_with("planted").find("planted"), std::string::npos);
}

TEST(StoreFactoryTest, MakesEveryPathAbsolute) {
  providers::StoreConfig store = VaultStore("token");
  std::get<providers::VaultStoreConfig>(store.provider).tls.ca_file = "tls/../ca.pem";
  MakePathsAbsolute(store);
  const auto& vault = std::get<providers::VaultStoreConfig>(store.provider);
  const std::filesystem::path here = std::filesystem::current_path();
  EXPECT_EQ(std::get<providers::VaultTokenAuth>(vault.auth).token.file, here / "token");
  EXPECT_EQ(vault.tls.ca_file, here / "ca.pem");
  EXPECT_EQ(vault.tls.client_key_file, "");  // not set stays not set
}

TEST(StoreFactoryTest, LocalUrlNamesAFileAndItsKey) {
  const auto store = StoreConfigFor({StoreScheme::kLocal, "/data/s.sfs"}, FakeEnvironment({}));
  ASSERT_TRUE(store.ok());
  const auto& local = std::get<providers::LocalStoreConfig>(store->provider);
  EXPECT_EQ(local.path, "/data/s.sfs");
  EXPECT_EQ(local.key.key_file, "/data/s.sfs.key");
}

}  // namespace
}  // namespace secretfs::cli
