#include "cli/vault_environment.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

using ::testing::HasSubstr;

const providers::CredentialSource& TokenOf(const providers::VaultStoreConfig& config) {
  return std::get<providers::VaultTokenAuth>(config.auth).token;
}

TEST(VaultEnvironmentTest, TakesEveryVariableOfVaultsCli) {
  const auto config = VaultConfigFromEnvironment(FakeEnvironment({
      {"VAULT_ADDR", "https://vault.example:8200"},
      {"VAULT_TOKEN", "planted-token"},
      {"VAULT_NAMESPACE", "team/a"},
      {"VAULT_CACERT", "/tls/ca.pem"},
      {"VAULT_CAPATH", "/tls/certs"},
      {"VAULT_CACERT_BYTES", "-----BEGIN"},
      {"VAULT_CLIENT_CERT", "/tls/client.pem"},
      {"VAULT_CLIENT_KEY", "/tls/client.key"},
      {"VAULT_TLS_SERVER_NAME", "vault.internal"},
      {"VAULT_SKIP_VERIFY", "true"},
  }));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://vault.example:8200");
  EXPECT_EQ(config->path, "");
  EXPECT_EQ(config->name_space, "team/a");
  EXPECT_EQ(config->tls.ca_file, "/tls/ca.pem");
  EXPECT_EQ(config->tls.ca_directory, "/tls/certs");
  EXPECT_EQ(config->tls.ca_bundle, "-----BEGIN");
  EXPECT_EQ(config->tls.client_certificate_file, "/tls/client.pem");
  EXPECT_EQ(config->tls.client_key_file, "/tls/client.key");
  EXPECT_EQ(config->tls.server_name, "vault.internal");
  EXPECT_TRUE(config->tls.skip_verify);
  // The variable is named; its value is not copied into the configuration.
  EXPECT_EQ(TokenOf(*config).environment, "VAULT_TOKEN");
  EXPECT_EQ(TokenOf(*config).file, "");
}

TEST(VaultEnvironmentTest, FallsBackAsVaultsCliDoes) {
  const auto config = VaultConfigFromEnvironment(FakeEnvironment({{"HOME", "/home/dev"}}));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->server, "https://127.0.0.1:8200");
  EXPECT_EQ(TokenOf(*config).file, "/home/dev/.vault-token");
  EXPECT_EQ(TokenOf(*config).environment, "");
  EXPECT_FALSE(config->tls.skip_verify);
}

TEST(VaultEnvironmentTest, RefusesValuesThatCannotBeUsed) {
  const auto address = VaultConfigFromEnvironment(FakeEnvironment({{"VAULT_ADDR", "vault:8200"}}));
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(address.status())), HasSubstr("VAULT_ADDR is 'vault:8200'"));
  const auto verify =
      VaultConfigFromEnvironment(FakeEnvironment({{"VAULT_SKIP_VERIFY", "perhaps"}}));
  EXPECT_THAT(std::string(MessageOf(verify.status())), HasSubstr("VAULT_SKIP_VERIFY='perhaps'"));
}

}  // namespace
}  // namespace secretfs::cli
