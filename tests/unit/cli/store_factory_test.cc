#include "cli/store_factory.h"

#include <gtest/gtest.h>

#include <filesystem>

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
